"""Why a job waits: the gate that binds with its numbers, what would help, and when it starts."""

from collections.abc import Iterable
from dataclasses import replace
from threading import Lock

import numpy as np

from dure.core import columns as col
from dure.core import gates
from dure.core.columns import IntArray
from dure.core.foresee import declared_ends_s, expected_start_s, idle_by_type
from dure.core.laxity import latest_start_s
from dure.core.relax import B_GPUS, B_LIMIT, B_STARTS, B_TYPE, RELAXATIONS, relaxed
from dure.core.why import explain_all
from dure.services.forecasts import Interval
from dure.services.snapshot import Snapshot
from dure.services.views import NEVER_S, Holder, Numbers, Span, Why

Help = tuple[str, Numbers]
# Of those who have what a job needs, so many are named.
HOLDERS_MAX = 5
_ROOM = (
    gates.NO_ROOM,
    gates.SCATTERED,
    gates.TOO_NARROW,
    gates.GRADE,
    gates.CPU_OR_MEMORY,
    gates.HELD,
    gates.BEHIND,
    gates.SHUT,
)
_OF_NODES = (
    (col.N_RESERVED, "reserved_gpus"),
    (col.N_DRAINING, "draining_gpus"),
    (col.N_DOWN_MILLI, "down_gpus"),
)


def why_just_taken() -> Why:
    """Return why a job waits that the engine has not looked at yet."""
    return Why("WaitingForNextCycle")


class Reasons:
    """Why each waiting job of one moment waits; worked out when somebody asks."""

    def __init__(self, snap: Snapshot) -> None:
        self._snap, self._lock = snap, Lock()
        self._found: IntArray | None = None
        self._idle = np.zeros(0, dtype=np.int64)

    def code(self, place: int) -> str:
        """Return the gate of a waiting job alone: lists show no more."""
        return gates.GATES[int(self._gate(place)[gates.W_GATE])]

    def earliest_s(self, place: int, *, return_s: int = NEVER_S) -> int:
        """Return when a waiting job starts if all goes as estimated, or ``NEVER_S``.

        Args:
            return_s: when the GPUs that were called back for it are expected, if any were.
        """
        found, snap = self._gate(place), self._snap
        at_s = expected_start_s(snap.world, found, self._idle)
        if found[gates.W_GATE] == gates.FOR_RETURN and return_s != NEVER_S:
            at_s = min(return_s, at_s)
        return at_s if at_s == NEVER_S else max(at_s, snap.now_s + 1)

    def why(self, place: int, *, return_s: int = NEVER_S, interval: Interval | None = None) -> Why:
        """Say why a waiting job has not started.

        Args:
            place: the job's row in the snapshot.
            interval: what past waits say of its start, if it was looked at before.
        """
        found = self._gate(place)
        gate = int(found[gates.W_GATE])
        earliest_s = self.earliest_s(place, return_s=return_s)
        why = Why(
            gates.GATES[gate],
            self._numbers(place, found),
            earliest_s,
            would_help=self._help(place),
            held_by=tuple(self._holders(place, found)),
        )
        # A start that was claimed comes by the promise.
        due_s = int(found[gates.W_UNTIL]) if gate == gates.FOR_RETURN else col.FOREVER_S
        is_hopeless = gate == gates.TOO_LARGE or (
            gate == gates.NO_ALLOCATION and earliest_s == NEVER_S
        )
        if interval is None or is_hopeless:
            if gate == gates.FOR_RETURN:
                why = replace(why, likely_s=earliest_s, surely_s=due_s)
            return why
        first_s, second_s, third_s, last_s = (min(one_s, due_s) for one_s in interval.ends_s)
        return replace(
            why,
            likely_s=min(interval.even_s, due_s),
            surely_s=last_s,
            half=Span(second_s, third_s),
            most=Span(first_s, last_s),
            learned_from=interval.learned_from,
        )

    def _gate(self, place: int) -> IntArray:
        with self._lock:
            if self._found is None:
                self._found = explain_all(self._snap.world)
                self._idle = idle_by_type(self._snap.world)
        return self._found[:, place - self._snap.running]

    def _numbers(self, place: int, found: IntArray) -> dict[str, int | str]:
        snap, gate = self._snap, int(found[gates.W_GATE])
        column = snap.jobs[:, place]
        numbers: dict[str, int | str] = {"gpus": int(column[col.J_SIZE])}
        if gate == gates.FOR_JOB:
            return numbers | {"job": snap.state.job_names[int(column[col.J_AFTER])]}
        if gate == gates.FOR_RETURN:
            return numbers | {"due_at_s": int(found[gates.W_UNTIL])}
        if gate == gates.AFTER_RECLAIM:
            return numbers | {"until_s": int(found[gates.W_UNTIL])}
        types = self._types(int(column[col.J_TYPES]))
        rights = snap.world.rights[:, int(column[col.J_OWNER]), types]
        left = rights[col.E_ENTITLED] - rights[col.E_OWN] - rights[col.E_CLAIMED]
        if rights[col.E_ENTITLED].max(initial=0) < col.UNLIMITED:
            numbers |= {
                "entitled_gpus": int(rights[col.E_ENTITLED].max(initial=0)) // col.WHOLE,
                "left_gpus": max(int(left.max(initial=0)), 0) // col.WHOLE,
            }
        if gate in _ROOM:
            return numbers | self._numbers_of_room(found)
        ours = self._ours(place)
        used = int(snap.jobs[col.J_USED, ours].sum()) // col.WHOLE
        return numbers | {"used_gpus": used, "jobs": len(ours)}

    def _numbers_of_room(self, found: IntArray) -> dict[str, int | str]:
        world = self._snap.world
        numbers: dict[str, int | str] = {
            "idle_gpus": int(found[gates.W_HAVE]) // col.WHOLE,
            "ahead": int(found[gates.W_AHEAD]),
        }
        if found[gates.W_NODES_NEED]:
            need, have = int(found[gates.W_NODES_NEED]), int(found[gates.W_NODES_HAVE])
            numbers |= {"nodes": need, "free_nodes": have, "short_nodes": need - have}
        if found[gates.W_UNTIL] != NEVER_S:
            numbers["due_at_s"] = int(found[gates.W_UNTIL])
        types = int(found[gates.W_TYPES])
        running = self._snap.jobs[:, self._running_on(types)]
        # An own gang borrows what it has beyond its size.
        own = running[col.J_SIZE] * running[col.J_MILLI]
        is_own = running[col.J_CLASS] == col.OWN
        lent = np.where(is_own, running[col.J_USED] - own, 0)
        for kind in (col.OWN, col.LOAN, col.SCAVENGE):
            used = (running[col.J_USED] - lent)[running[col.J_CLASS] == kind].sum()
            used += lent.sum() if kind == col.LOAN else 0
            numbers[f"{col.KINDS[kind]}_gpus"] = int(used) // col.WHOLE
        ours = (types >> world.nodes[col.N_TYPE] & 1) == 1
        for row, name in _OF_NODES:
            numbers[name] = int(world.nodes[row, ours].sum()) // col.WHOLE
        return numbers

    def _types(self, mask: int) -> IntArray:
        kinds: IntArray = np.arange(self._snap.world.types.shape[1])
        of_mask: IntArray = kinds[(mask >> kinds & 1) == 1]
        return of_mask

    def _running_on(self, types: int) -> IntArray:
        running = self._snap.jobs[:, : self._snap.running]
        return np.flatnonzero((types >> running[col.J_PLACED_TYPE] & 1) == 1)

    def _ours(self, place: int) -> IntArray:
        """Return what runs as the own of the job's owner on the types that it accepts."""
        snap, column = self._snap, self._snap.jobs[:, place]
        running = snap.jobs[:, : snap.running]
        mine = running[col.J_OWNER] == column[col.J_OWNER]
        mine &= running[col.J_CLASS] == col.OWN
        mine &= (int(column[col.J_TYPES]) >> running[col.J_PLACED_TYPE] & 1) == 1
        return np.flatnonzero(mine)

    def _holders(self, place: int, found: IntArray) -> Iterable[Holder]:
        snap, gate = self._snap, int(found[gates.W_GATE])
        if gate == gates.HELD:
            claims = snap.world.claims[:HOLDERS_MAX, 0].tolist()
            return (self._holder(one, int(snap.jobs[col.J_CLAIM_DUE, one])) for one in claims)
        if gate in _ROOM:
            places = self._running_on(int(found[gates.W_TYPES]))
        elif gate in (gates.RIGHTS_IN_USE, gates.TOO_LARGE):
            places = self._ours(place)
        elif gate == gates.FOR_JOB:
            before = snap.place(int(snap.jobs[col.J_AFTER, place]))
            places = np.array([before] if 0 <= before < snap.running else [], dtype=np.int64)
        else:
            return ()
        end_s = declared_ends_s(snap.world, np.ascontiguousarray(places))
        first = np.argsort(end_s, kind="stable")[:HOLDERS_MAX]
        return (self._holder(int(places[i]), int(end_s[i])) for i in first)

    def _holder(self, place: int, until_s: int) -> Holder:
        snap = self._snap
        column = snap.jobs[:, place]
        stands = place < snap.running
        return Holder(
            snap.state.job_names[int(snap.index[place])],
            col.KINDS[int(column[col.J_CLASS])] if stands else "",
            int(column[col.J_GPUS]),
            until_s if until_s < col.FOREVER_S else NEVER_S,
        )

    def _help(self, place: int) -> tuple[Help, ...]:
        snap, found = self._snap, list[Help]()
        for name, one in zip(RELAXATIONS, relaxed(snap.world, place), strict=True):
            if one[B_STARTS]:
                numbers: dict[str, int | str] = {"gpus": int(one[B_GPUS])}
                numbers["accelerator"] = snap.state.pool.types[int(one[B_TYPE])]
                if one[B_LIMIT]:
                    numbers["limit_s"] = int(one[B_LIMIT])
                found.append((name, numbers))
        column = snap.jobs[:, place]
        if snap.now_s > latest_start_s(column):
            found.append(("later_deadline", {"deadline_at_s": int(column[col.J_DEADLINE])}))
        return tuple(found)
