"""The attempts of each job that runs, waits or ended lately, followed from the ledger."""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

import msgspec

from dure.core import columns as col
from dure.core.state import CycleRecord, State
from dure.services.standing import Follower
from dure.services.views import NEVER_S, Attempt

ENDED_MAX = 5_000
# The last ones of a job that is stopped and started for weeks.
ATTEMPTS_MAX = 200
# Beside the engine's causes of an end: a reclaim of whose claimant the owner is the job's own; and
# three of what it books as a change of size though the gang runs on where it is, in another class.
YIELDED, MADE_WAY, RIGHT_SHRANK, PROMOTED = range(len(col.END_CAUSES), len(col.END_CAUSES) + 4)
END_CAUSES = (*col.END_CAUSES, "yielded", "made_way", "right_shrank", "promoted")
# How a job comes by the part of the entitlement that another of its owner gives up.
_TAKES_OVER = (col.K_STARTED, col.K_CLAIMED, col.K_RECLASSED)
_ENDS = (col.K_ENDED, col.K_STOPPED, col.K_REFUSED, col.K_CANCELLED)


class Stay(NamedTuple):
    """One attempt in the engine's words: kind of use, nodes and milli-GPU by number.

    The books count from the order to start until the devices are free again. What its nodes
    measured lies inside: ``began_s`` and ``left_s``, known when its processes are gone.
    ``run_from_s`` is when they were ordered, if that was under another class.
    """

    attempt: int
    kind: int
    nodes: tuple[int, ...]
    gpus: int
    milli: int
    from_s: int
    to_s: int = NEVER_S
    cause: int = -1
    lost_milli_s: int = 0
    lent_milli: int = 0  # what of an own gang's is on loan
    run_from_s: int = NEVER_S
    began_s: int = NEVER_S
    left_s: int = NEVER_S
    gives_way: bool = False  # it is called back for another job of its owner

    def by_kind(self) -> tuple[tuple[int, int], ...]:
        """Return (kind of use, milli-GPU) of its parts."""
        return (self.kind, self.milli - self.lent_milli), (col.LOAN, self.lent_milli)

    @property
    def ordered_s(self) -> int:
        """When its processes were ordered to start."""
        return self.from_s if self.run_from_s == NEVER_S else self.run_from_s

    def unmeasured(self) -> tuple[tuple[int, int], ...]:
        """Return (from, to) of the parts of its run, over now, that its nodes did not count."""
        if self.left_s == NEVER_S:
            return ()
        return (self.ordered_s, self.began_s), (self.left_s, self.to_s)


class _Memory(NamedTuple):
    stays: dict[int, tuple[Stay, ...]]
    exit_codes: dict[int, int]
    ended: list[int]
    ended_count: int
    measured: dict[int, tuple[int, int]] = {}


# state, job, the stay that is over
Closed = Callable[[State, int, Stay], None]


class Stories(Follower):
    """Attempts by job. Readers in other threads see whole tuples, of this moment or the last.

    Args:
        ended_max: of how many ended jobs the story is kept.
        closed: told each stay when it is over.
    """

    def __init__(self, *, ended_max: int = ENDED_MAX, closed: Closed | None = None) -> None:
        self._ended_max, self._closed = ended_max, closed
        super().__init__()

    def reset(self) -> None:
        self._stays: dict[int, tuple[Stay, ...]] = {}
        self._exit_codes: dict[int, int] = {}
        # Of jobs that left their devices and whose stay the engine has not closed yet.
        self._measured: dict[int, tuple[int, int]] = {}
        self.ended: deque[int] = deque()
        self.ended_count = 0

    def follow(self, state: State, record: CycleRecord) -> None:
        for facts in (record.observed, record.decided):
            if len(facts):
                self._take_in(state, facts.tolist())

    def keep(self) -> bytes:
        ended = list(self.ended)
        memory = _Memory(self._stays, self._exit_codes, ended, self.ended_count, self._measured)
        return msgspec.msgpack.encode(memory)

    def begin_from(self, state: State, kept: bytes) -> None:
        memory = msgspec.msgpack.decode(kept, type=_Memory)
        self.begin_at(state)
        self._stays, self._exit_codes = memory.stays, memory.exit_codes
        self._measured = dict(memory.measured)  # its default is one for all
        self.ended, self.ended_count = deque(memory.ended), memory.ended_count

    def stays(self, job: int) -> tuple[Stay, ...]:
        return self._stays.get(job, ())

    def open_stays(self) -> list[tuple[int, Stay]]:
        """Return (job, stay) of all that run now."""
        last = [(job, stays[-1]) for job, stays in list(self._stays.items()) if stays]
        return [(job, stay) for job, stay in last if stay.to_s == NEVER_S]

    def exit_code(self, job: int) -> int | None:
        """Return how a job's process ended, None if it did not end by itself or long ago."""
        stays = self._stays.get(job)
        if not stays or stays[-1].cause != col.BY_DONE:
            return None
        return self._exit_codes.get(job, 0)

    def attempts(self, state: State, job: int) -> tuple[Attempt, ...]:
        """Return a job's attempts as screens see them."""
        return tuple(
            Attempt(
                stay.attempt,
                col.KINDS[stay.kind],
                tuple(state.node_names[node] for node in stay.nodes),
                stay.gpus,
                stay.from_s,
                stay.to_s,
                END_CAUSES[stay.cause] if stay.cause >= 0 else "",
                stay.lost_milli_s // col.WHOLE,
            )
            for stay in self.stays(job)
        )

    def _take_in(self, state: State, facts: list[list[int]]) -> None:
        at = 0
        while at < len(facts):
            kind, at_s, job, a, b, c, d, e = facts[at]
            at += 1
            if kind in (col.K_ENDED, col.K_VACATED) and e:
                self._measured[job] = d, e
            if kind == col.K_STARTED:
                # A start is followed by the rows that it stands on.
                begin = at
                while at < len(facts) and facts[at][0] == col.K_PLACED:
                    at += 1
                self._measured.pop(job, None)
                self._open(job, _stay(a, b, at_s, facts[begin:at]))
            elif kind == col.K_NOTICED:
                # An own gang that is moved (2) makes room for whoever it may be.
                self._notice(job, c < 2 and _have_one_owner(state, job, a))
            elif kind == col.K_WITHDRAWN:
                self._notice(job, False)
            elif kind == col.K_LENT:
                self._lend(job, b.bit_count())
            elif kind == col.K_ENDED:
                measured = self._measured.pop(job, None)
                if self._close(state, job, a, at_s, col.BY_DONE, 0, measured) and c:
                    self._exit_codes[job] = c
            elif kind == col.K_STOPPED:
                self._close(state, job, a, at_s, b, d, self._measured.pop(job, None))
            elif kind == col.K_RECLASSED:
                why = PROMOTED if b == col.OWN else _why_lent(state, job, islice(facts, at, None))
                self._reclass(state, job, a, b, at_s, why)
            if kind in _ENDS and state.c.jobs[col.J_STATE, job] >= col.COMPLETED:
                self._end(state, job)

    def _open(self, job: int, stay: Stay) -> None:
        self._stays[job] = (*self._stays.get(job, ())[1 - ATTEMPTS_MAX :], stay)

    def _notice(self, job: int, gives_way: bool) -> None:
        *before, last = self._stays[job]
        self._stays[job] = (*before, last._replace(gives_way=gives_way))

    def _lend(self, job: int, devices: int) -> None:
        """Book some of an elastic gang's devices as on loan; they are whole."""
        *before, last = self._stays[job]
        more = last.lent_milli + devices * col.WHOLE
        self._stays[job] = (*before, last._replace(lent_milli=more))

    def _close(
        self,
        state: State,
        job: int,
        attempt: int,
        at_s: int,
        cause: int,
        lost: int,
        measured: tuple[int, int] | None = None,
    ) -> Stay | None:
        """Close the running stay; word of an older attempt is ignored, as the engine does."""
        stays = self._stays.get(job, ())
        if not stays or stays[-1].to_s != NEVER_S or stays[-1].attempt != attempt:
            return None
        if cause == col.BY_RECLAIM and stays[-1].gives_way:
            cause = YIELDED
        last = stays[-1]._replace(to_s=at_s, cause=cause, lost_milli_s=lost)
        if measured is not None:
            # Whoever writes what its nodes measured may be wrong; it lies within the run.
            began_s, left_s = measured
            began_s = min(max(began_s, last.ordered_s), at_s)
            last = last._replace(began_s=began_s, left_s=min(max(left_s, began_s), at_s))
        self._stays[job] = (*stays[:-1], last)
        if self._closed is not None:
            self._closed(state, job, last)
        return last

    def _reclass(
        self, state: State, job: int, attempt: int, kind: int, at_s: int, why: int
    ) -> None:
        last = self._close(state, job, attempt - 1, at_s, why, 0)
        if last is not None:
            same = last.nodes, last.gpus, last.milli
            self._open(job, Stay(attempt, kind, *same, at_s, run_from_s=last.ordered_s))

    def _end(self, state: State, job: int) -> None:
        if state.c.jobs[col.J_STATE, job] != col.REFUSED:
            self.ended_count += 1
        self.ended.append(job)
        if len(self.ended) > self._ended_max:
            forgotten = self.ended.popleft()
            self._stays.pop(forgotten, None)
            self._exit_codes.pop(forgotten, None)


def _why_lent(state: State, job: int, following: Iterable[list[int]]) -> int:
    """Tell why an own gang runs on as a loan: another of its owner's runs as own instead, which
    the engine decides next, or the entitlement shrank.
    """
    for kind, _, other, _, b, *_ in following:
        if kind not in _TAKES_OVER or not _have_one_owner(state, job, other):
            break
        # One gang may need the parts of several.
        if kind == col.K_CLAIMED or b == col.OWN:
            return MADE_WAY
    return RIGHT_SHRANK


def _have_one_owner(state: State, one: int, other: int) -> bool:
    owners = state.c.jobs[col.J_OWNER]
    return bool(owners[one] == owners[other])


def _stay(attempt: int, kind: int, at_s: int, placed: list[list[int]]) -> Stay:
    """Return the stay that begins on the rows ``placed``: facts with node, mask, milli a device."""
    nodes, gpus, milli = [], 0, 0
    for _, _, _, node, mask, each, _, _ in placed:
        count = mask.bit_count()
        nodes.append(node)
        gpus += count
        milli += count * each
    return Stay(attempt, kind, tuple(nodes), gpus, milli, at_s)
