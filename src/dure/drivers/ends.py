"""What an attempt's files say: how it ended, and what it printed; the same on every backend."""

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any, Final

from dure.core.orders import EXIT_SAVED, Receipt
from dure.drivers import files
from dure.drivers.places import Places

EXIT_KILLED: Final = 128 + signal.SIGKILL
OUTPUT_BYTES_MAX: Final = 1_048_576
STREAMS: Final = ("out", "err")

Written = dict[str, Any]


def written_at(path: Path) -> Written | None:
    """Read one of our files; None if there is none, {} if somebody spoilt it."""
    text = files.text_at(str(path))
    if text is None:
        return None
    try:
        written = json.loads(text)
    except ValueError:
        written = {}
    return written if isinstance(written, dict) else {}


def whole(written: Written, name: str, otherwise: int = 0) -> int:
    """Read a number that the job itself may have spoilt: our files lie in its reach."""
    value = written.get(name)
    return value if isinstance(value, int) else otherwise


def receipt_of(end: Written, places: Places, *, asked_to_stop: bool, now_s: int) -> Receipt:
    """Return the receipt of a written end."""
    code = whole(end, "exit_code", EXIT_KILLED)
    kind = str(end.get("kind"))
    if kind not in ("ended", "stopped", "failed"):
        kind = "ended"
    at_s = whole(end, "at_s", now_s)
    lock = written_at(places.of_attempt("lock")) or {}
    # A lock of our own says that nobody will begin it any more.
    began_at_s = at_s if "kind" in lock else whole(lock, "at_s")
    is_saved = code == EXIT_SAVED
    left_on_notice = is_saved and places.of_attempt("notice").exists()
    if kind == "ended" and (left_on_notice or asked_to_stop):
        kind = "stopped"
    return Receipt(
        kind=kind,
        job=places.job,
        attempt=places.attempt,
        at_s=at_s,
        exit_code=code,
        saved=is_saved,
        reason=str(end.get("reason", "EndUnreadable")),
        began_at_s=min(max(0, began_at_s), at_s),
    )


def printed(places: Places, *, stream: str, from_byte: int) -> tuple[bytes, int]:
    """Read what an attempt has printed so far.

    Args:
        stream: ``out`` or ``err``.
        from_byte: where to begin; negative counts from the end.

    Returns:
        At most ``OUTPUT_BYTES_MAX`` bytes, and the place after them; nothing if it printed
        nothing or never started.
    """
    assert stream in STREAMS, stream
    try:
        file = os.open(
            places.of_attempt(stream), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except OSError:
        return b"", 0
    with open(file, "rb") as output:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return b"", 0
        size = os.fstat(file).st_size
        begin = min(size, from_byte) if from_byte >= 0 else max(0, size + from_byte)
        output.seek(begin)
        content = output.read(OUTPUT_BYTES_MAX)
        return content, begin + len(content)


class PrintedFiles:
    """What attempts printed, from their files; also beside another process that runs them.

    Args:
        root: folder of the pool, ``DIR/here``; ``jobs/JOB/`` in it is a job's own.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def output(
        self, job: str, attempt: int, *, stream: str = "out", from_byte: int = 0
    ) -> tuple[bytes, int]:
        """Read what an attempt has printed so far; see ``printed``."""
        return printed(Places(self._root, job, attempt), stream=stream, from_byte=from_byte)
