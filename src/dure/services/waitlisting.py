"""The waitlist of a call with its dates: what is known to come free, handed to the rule."""

from collections.abc import Callable, Iterator

from dure.core.applications import ends_at_s
from dure.core.calendar import DAY_S, months_later_s
from dure.core.calls.stages import track_of
from dure.core.recall import RecallPolicy, Verdict, pullback_gpus
from dure.core.waitlist import Coming, Expected, Flow, Source, expect
from dure.services.programme_states import AllocationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.programme_views import WaitRow
from dure.services.promoting import line_of, room_of
from dure.services.views import NEVER_S

# What came free before its time is counted over so many days. To these are added as many days of an
# assumption, which alone holds at the start: so many GPUs of a thousand come free in a month.
FLOW_DAYS_MAX = 90
PRIOR_DAYS, PRIOR_MILLI = 30, 20


class Waitlist:
    """The rows of all waitlists; dates are worked out once for a day and a state of the tables."""

    def __init__(self, tables: ProgrammeTables, policy_of: Callable[[str], RecallPolicy]) -> None:
        self._tables, self._policy_of = tables, policy_of
        self._kept: tuple[tuple[int, int], tuple[WaitRow, ...]] = ((-1, -1), ())

    def rows(self, now_s: int) -> tuple[WaitRow, ...]:
        """Return who waits in every decided call, first in line first."""
        key = self._tables.version, now_s // DAY_S
        kept, rows = self._kept
        if kept != key:
            tables = self._tables
            rows = tuple(
                row
                for call in list(tables.decided_at_s)
                for accelerator in sorted(tables.calls[call].capacity)
                for row in _rows(tables, call, accelerator, self._policy_of(call), now_s)
            )
            self._kept = key, rows
        return rows


def _rows(
    tables: ProgrammeTables, call: str, accelerator: str, policy: RecallPolicy, now_s: int
) -> Iterator[WaitRow]:
    line = tables.waitlist(call, accelerator)
    if not line:
        return
    expected = expected_turns(tables, call, accelerator, policy, now_s)
    free_gpus = tables.free_gpus(call, accelerator)
    flow = flow_of(tables, call, accelerator, now_s)
    for place, state in enumerate(line, start=1):
        submitted, decided = state.submitted, state.decided
        assert decided is not None
        turn = expected[submitted.application]
        yield WaitRow(
            place,
            submitted.application,
            call,
            str(tables.calls[call].round),
            submitted.organisation,
            submitted.group,
            submitted.lead,
            accelerator,
            decided.gpus,
            decided.at_s,
            "waiting",
            "TooLittleFree" if free_gpus else "NothingFree",
            (("gpus", decided.gpus), ("free_gpus", free_gpus)),
            _moment(turn.at_s),
            _moment(turn.late_s),
            _moment(turn.early_s),
            turn.before,
            turn.before_gpus,
            tuple(turn.by_source.items()),
            flow.days if "flow" in turn.by_source else 0,
            state.has_signed,
        )


def _moment(at_s: int | None) -> int:
    return NEVER_S if at_s is None else at_s


def expected_turns(
    tables: ProgrammeTables, call: str, accelerator: str, policy: RecallPolicy, now_s: int
) -> dict[str, Expected]:
    """Return by application when those who wait for a type are expected to get their turn."""
    line, terms = line_of(tables, call, accelerator), tables.calls[call]
    start_s = max(now_s, terms.starts_at_s)
    term_s = {
        one.application: ends_at_s(
            tables.applications[one.application].submitted, terms, from_s=start_s
        )
        - start_s
        for one in line
    }
    return expect(
        line,
        room_of(tables, call, accelerator),
        list(_coming(tables, call, accelerator, policy, now_s)),
        flow_of(tables, call, accelerator, now_s),
        term_s=term_s,
        now_s=now_s,
    )


def _coming(
    tables: ProgrammeTables, call: str, accelerator: str, policy: RecallPolicy, now_s: int
) -> Iterator[Coming]:
    """Yield what will or may come free: ends of terms, recalls, warnings, offers that may lapse."""

    def one(application: str, at_s: int, gpus: int, source: Source) -> Coming:
        state = tables.applications[application]
        track = track_of(tables.calls[call], state.answers)
        return Coming(at_s, gpus, source, track, state.submitted.organisation)

    for held in _allocations(tables, call, accelerator):
        granted = held.granted
        # What another allocation goes on with does not come free here.
        follows = [
            other.gpus for other in tables.followers(held) if other.granted.from_s == granted.to_s
        ]
        gpus = 0 if granted.cause == "advance" else held.gpus - sum(follows)
        if gpus > 0:
            yield one(granted.application, granted.to_s, gpus, "term")
            check = next(reversed(tables.checks.get(granted.project, [])), None)
            if check is not None and check.verdict == Verdict.WARN.value:
                missing = max(1, policy.checks_before_recall - check.checks_below)
                at_s = months_later_s(check.to_s, missing) + policy.notice_s
                take_gpus = pullback_gpus(held.gpus, check.percent, policy)
                yield one(granted.application, at_s, take_gpus, "warning")
    for name in list(tables.of_call[call]):
        state = tables.applications[name]
        decided, offer = state.decided, state.offer
        if decided is None or decided.accelerator != accelerator or state.allocation:
            continue
        if state.status not in ("offered", "selected", "signed"):
            continue
        # Nothing says that it will be declined: as awarded, to the end of its term.
        from_s = max(months_later_s(tables.calls[call].starts_at_s, decided.from_month), now_s)
        to_s = ends_at_s(state.submitted, tables.calls[call], from_s=from_s)
        yield one(name, to_s, state.awarded_gpus, "term")
        if offer is not None and offer.due_at_s:
            yield one(name, offer.due_at_s, offer.gpus, "offer")
    for recall in list(tables.recalls.values()):
        noticed = recall.noticed
        if not recall.outcome and (noticed.call, noticed.accelerator) == (call, accelerator):
            application = tables.allocations[noticed.allocation].granted.application
            gpus = max(0, noticed.gpus - recall.returned_gpus)
            yield one(application, noticed.due_at_s, gpus, "recall")


def flow_of(tables: ProgrammeTables, call: str, accelerator: str, now_s: int) -> Flow:
    """Count what was recalled or returned before its time, within the last days."""
    terms = tables.calls[call]
    from_s = max(terms.starts_at_s, now_s - FLOW_DAYS_MAX * DAY_S)
    freed = [
        before - after
        for held in _allocations(tables, call, accelerator)
        for (_, before), (at_s, after) in zip(held.steps, held.steps[1:], strict=False)
        if from_s < at_s <= now_s and at_s < held.granted.to_s
    ]
    node = terms.node_gpus
    chunk = sum(freed) // len(freed) // node * node if freed else node
    prior = terms.capacity[accelerator] * PRIOR_MILLI // 1000
    days = max(0, now_s - from_s) // DAY_S + PRIOR_DAYS
    return Flow(sum(freed) + prior, days, max(chunk, node), terms.starts_at_s)


def _allocations(tables: ProgrammeTables, call: str, accelerator: str) -> Iterator[AllocationState]:
    for held in list(tables.allocations.values()):
        if (held.granted.call, held.granted.accelerator) == (call, accelerator):
            yield held
