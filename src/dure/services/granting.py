"""How allocations are granted and get smaller: the events, made from where things stand."""

from dure.core.applications import ends_at_s
from dure.core.calendar import months_later_s
from dure.core.calls.model import Call, Hold
from dure.core.calls.stages import interim_of
from dure.core.events.programme import AllocationChanged, AllocationEnded, AllocationGranted
from dure.services.programme_states import AllocationState, ApplicationState
from dure.services.programme_tables import ProgrammeTables


def _held_back(state: ApplicationState, call: Call) -> Hold | None:
    """Return what an interim stage holds back of an award that it has not passed."""
    stage = interim_of(call, state.answers)
    if stage is None or stage.stage in state.concluded:
        return None
    return stage.hold


def granted(
    state: ApplicationState, call: Call, gpus: int, from_s: int, cause: str, now_s: int, by: str
) -> AllocationGranted:
    """Make the event of an allocation for as long as its application asked."""
    submitted, decided = state.submitted, state.decided
    assert decided is not None and cause in ("award", "handover")
    to_s = ends_at_s(submitted, call, from_s=from_s)
    hold = _held_back(state, call)
    if hold is not None:
        gpus = max(gpus * hold.gpus_percent // 100 // call.node_gpus, 1) * call.node_gpus
        if hold.after_months:
            to_s = min(to_s, months_later_s(from_s, hold.after_months))
    return AllocationGranted(
        f"a-{submitted.application}",
        submitted.call,
        submitted.application,
        submitted.project,
        decided.accelerator,
        gpus,
        from_s,
        to_s,
        cause="award" if cause == "award" else "handover",
        at_s=now_s,
        by=by,
    )


def shrunk(
    tables: ProgrammeTables,
    state: AllocationState,
    less_gpus: int,
    cause: str,
    now_s: int,
    by: str,
) -> tuple[AllocationChanged | AllocationEnded, ...]:
    """Make the events of an allocation that shrinks, and of those that follow on it."""
    left = state.gpus - less_gpus
    return (
        resized(state, less_gpus, cause, now_s, by),
        *(
            resized(one, one.gpus - left, cause, now_s, by)
            for one in tables.followers(state)
            if one.gpus > left
        ),
    )


def resized(
    state: AllocationState, less_gpus: int, cause: str, now_s: int, by: str
) -> AllocationChanged | AllocationEnded:
    """Make the event of an allocation that shrinks, or ends when nothing is left."""
    granted, before = state.granted, state.gpus
    assert 0 < less_gpus <= before, f"{granted.allocation}: {less_gpus} of {before} GPUs"
    if less_gpus == before:
        return AllocationEnded(
            granted.allocation,
            granted.call,
            granted.project,
            granted.accelerator,
            before,
            cause,
            at_s=now_s,
            by=by,
        )
    return AllocationChanged(
        granted.allocation,
        granted.call,
        granted.project,
        granted.accelerator,
        before,
        before - less_gpus,
        cause,
        at_s=now_s,
        by=by,
    )
