"""How many decisions a second a ledger takes for good, beside what the disk under it can do."""

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread

from dure.app.ledgers import Ledgers
from dure.core.events import Event
from dure.core.events.work import JobRequested
from dure.core.ledger_record import Entry
from dure.ledger.codec import decode_events, encode_events
from dure.services.book import Book
from dure.services.ports import Ledger

PAGE = bytes(4096)
# The disk and the ledger take turns of this length, so that both meet the same neighbours.
TURN_S = 0.1
# A job as people submit it: the request of a small YAML.
REQUEST = '{"name":"train-%d","gpus":8,"run":"python train.py --steps 1000","estimate_s":7200}'
NS_PER_MS = 1_000_000


def run_ledger_bench(
    ledgers: Ledgers, folder: Path, *, writers: int, seconds: float
) -> dict[str, object]:
    """Append durable decisions one by one, then from many threads that share each wait.

    Args:
        ledgers: where the ledger ``bench`` is made.
        folder: on the disk whose own rate of fsync is measured, before and after.
        writers: threads of the second part.
        seconds: for each part.

    Returns:
        disk_fsyncs_per_s, single_per_s, grouped_per_s, grouped_ms_p50, grouped_ms_p99 (from asking
        to acknowledged), decisions_per_group, writers, records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(ledgers.open("bench")) as ledger:
        counted = _Counted(ledger)
        book = Book(counted, encode=encode_events, decode=decode_events)
        book.catch_up()
        fsyncs, single = _beside_each_other(folder, book, seconds)
        groups = counted.appends
        took_ns, wall_s = _grouped(book, writers, seconds)
        groups = counted.appends - groups
        took_ns.sort()
        return {
            "disk_fsyncs_per_s": round(fsyncs),
            "single_per_s": round(single),
            "grouped_per_s": round(len(took_ns) / wall_s),
            "grouped_ms_p50": round(took_ns[len(took_ns) // 2] / NS_PER_MS, 2),
            "grouped_ms_p99": round(took_ns[len(took_ns) * 99 // 100] / NS_PER_MS, 2),
            "decisions_per_group": round(len(took_ns) / max(1, groups), 1),
            "writers": writers,
            "records": ledger.head()[0],
        }


class _Counted:
    """A ledger whose appends are counted; everything else is its own."""

    def __init__(self, ledger: Ledger) -> None:
        self.appends = 0
        self.head, self.read, self.close = ledger.head, ledger.read, ledger.close
        self.put_projection, self.get_projection = ledger.put_projection, ledger.get_projection
        self._append = ledger.append

    def append(self, entries: Sequence[Entry], *, expect: int) -> int:
        self.appends += 1
        return self._append(entries, expect=expect)


def _beside_each_other(folder: Path, book: Book, seconds: float) -> tuple[float, float]:
    """Return fsyncs and appends a second, measured in turns."""
    path, spent_s, counts = folder / "fsync.probe", [0.0, 0.0], [0, 0]
    with path.open("wb", buffering=0) as file:

        def sync() -> None:
            file.write(PAGE)
            os.fsync(file.fileno())

        def append() -> None:
            book.append([_event(counts[1])])

        while sum(spent_s) < 2 * seconds:
            for which, act in enumerate((sync, append)):
                begin_s = now_s = time.perf_counter()
                while now_s - begin_s < TURN_S:
                    act()
                    counts[which] += 1
                    now_s = time.perf_counter()
                spent_s[which] += now_s - begin_s
    path.unlink()
    return counts[0] / spent_s[0], counts[1] / spent_s[1]


def _event(number: int) -> Event:
    name = f"bench-{number}"
    return JobRequested(at_s=number, by="bench", job=name, request=REQUEST % number, key=name)


def _grouped(book: Book, writers: int, seconds: float) -> tuple[list[int], float]:
    """Return how long each decision took, and how long all of them."""
    took_ns: list[list[int]] = [[] for _ in range(writers)]
    begin_s = time.perf_counter()

    def write(place: int) -> None:
        number = place
        while time.perf_counter() - begin_s < seconds:
            event, from_ns = _event(number), time.perf_counter_ns()
            book.decide(lambda _, one=event: ([one], None))  # type: ignore[misc]
            took_ns[place].append(time.perf_counter_ns() - from_ns)
            number += writers

    threads = [Thread(target=write, args=(place,)) for place in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for some in took_ns for one in some], time.perf_counter() - begin_s
