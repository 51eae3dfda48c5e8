"""How long the office work of many rounds takes: all of it, and the intake of one huge call."""

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from dure.app.runtime import recorded_ledger, twin_ledger
from dure.core.calendar import moment_s
from dure.core.events.programme import ApplicationSubmitted
from dure.ledger.codec import decode_events, encode_events
from dure.services.access import Actor, Role
from dure.services.book import Book
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.taking import Arrival
from dure.twin.applications import (
    CallModel,
    Imagined,
    RoundModel,
    imagine_applications,
    read_round,
)
from dure.twin.round import OPERATOR, hold_round

HUGE = "huge"


class _Clock:
    """Stands where it was put; the CPU time spent there is kept by moment."""

    def __init__(self) -> None:
        self.at_s, self.spent_s, self._since_s = 0, dict[int, float](), time.process_time()

    def now_s(self) -> int:
        return self.at_s

    def move_to(self, at_s: int) -> None:
        spent_s = time.process_time() - self._since_s
        self.spent_s[self.at_s] = self.spent_s.get(self.at_s, 0.0) + spent_s
        self.at_s, self._since_s = at_s, time.process_time()


def run_programme_bench(
    folder: Path, *, rounds: int, rule: Literal["rank", "optimum"], applications: int, seed: int
) -> dict[str, object]:
    """Hold ``rounds`` rounds in one programme, and take ``applications`` into one call.

    All rounds are like 2026-1 (514 applications each) and run side by side, from the draft of the
    call to the signed agreements, in a ledger on disk under ``folder``. The huge call is taken in
    twice: each application by itself, as people hand them in, and all in one transaction.

    Returns:
        CPU seconds by step and in all; ``reread_cpu_s`` is folding the whole ledger anew.
    """
    model = read_round()
    numbered = [
        msgspec.structs.replace(model.calls[-1], number=f"round-{place:03d}", rule=rule)
        for place in range(rounds)
    ]
    clock, path = _Clock(), folder / "rounds.db"
    begin_s, wall_s = time.process_time(), time.perf_counter()
    with _programme(twin_ledger(path), clock) as programme:
        many = msgspec.structs.replace(model, calls=tuple(numbered))
        hold_round(programme, clock.move_to, seed=seed, model=many)
        clock.move_to(clock.at_s)
        statuses = [state.status for state in programme.tables.applications.values()]
    whole_s, wall_s = time.process_time() - begin_s, time.perf_counter() - wall_s
    begin_s = time.process_time()
    with _programme(recorded_ledger(path), clock) as again:
        assert [one.status for one in again.tables.applications.values()] == statuses
    reread_s = time.process_time() - begin_s
    steps = _steps(numbered[0], clock)
    taken = _huge(folder, model, applications, seed)
    return {
        "rounds": rounds,
        "rule": rule,
        "applications": len(statuses),
        "allocated": statuses.count("allocated"),
        **{f"{name}_cpu_s": round(spent_s, 2) for name, spent_s in steps.items()},
        "whole_cpu_s": round(whole_s, 2),
        "whole_wall_s": round(wall_s, 2),
        "reread_cpu_s": round(reread_s, 2),
        "one_call_applications": applications,
        **{f"{name}_cpu_s": round(spent_s, 2) for name, spent_s in taken.items()},
        "rss_mb_max": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


@contextmanager
def _programme(ledger: Ledger, clock: _Clock) -> Iterator[Programme]:
    book = Book(ledger, encode=encode_events, decode=decode_events)
    programme = Programme(book, clock)
    book.catch_up()
    yield programme
    ledger.close()


def _steps(call: CallModel, clock: _Clock) -> dict[str, float]:
    """Return the CPU seconds of each step; imagining what people do is counted with it."""
    moments = {
        "intake": call.terms.closes_at_s,
        "assignment": moment_s(call.reviewed_from),
        "reviews": moment_s(call.reviewed_to),
        "decision": moment_s(call.decided),
        "declined": moment_s(call.declined),
        "signed": moment_s(call.signed),
    }
    return {name: clock.spent_s[at_s] for name, at_s in moments.items()}


def _huge(folder: Path, model: RoundModel, applications: int, seed: int) -> dict[str, float]:
    """Return the CPU seconds of taking all into one call, one by one and at once."""
    call = msgspec.structs.replace(model.calls[-1], number=HUGE)
    imagined = _imagined(model, call, applications, seed)
    arrivals = [
        Arrival(one.at_s, Actor(one.lead, frozenset({Role.APPLICANT})), one.fields, f"key-{place}")
        for place, one in enumerate(imagined)
    ]
    clock, took = _Clock(), {}
    for name, batches in (("one_by_one", [[one] for one in arrivals]), ("at_once", [arrivals])):
        clock.at_s = call.terms.opens_at_s
        with _programme(twin_ledger(folder / f"{name}.db"), clock) as programme:
            programme.draft_call(OPERATOR, call.terms)
            programme.publish_call(OPERATOR, HUGE)
            begin_s = time.process_time()
            answers = [one for batch in batches for one in programme.apply_many(HUGE, batch)]
            took[name] = time.process_time() - begin_s
            assert all(isinstance(one, ApplicationSubmitted) for one in answers)
    return took


def _imagined(model: RoundModel, call: CallModel, count: int, seed: int) -> Sequence[Imagined]:
    """Draw as many applications as asked; leads of different draws are different people."""
    drawn: list[Imagined] = []
    rng = np.random.default_rng([seed, 30_000])
    while len(drawn) < count:
        part = msgspec.structs.replace(call, number=f"draw-{len(drawn)}")
        drawn += imagine_applications(model, part, rng)
    return sorted(drawn[:count], key=lambda one: (one.at_s, one.lead))
