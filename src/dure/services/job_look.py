"""Jobs as screens see them: rows, stories and reasons of one moment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.services.asked import Asked, Demand
from dure.services.conditions import standing_in
from dure.services.forecasts import Known
from dure.services.reasons import Reasons, why_just_taken
from dure.services.returns import Returns
from dure.services.snapshot import Coded, Joined, Snapshot
from dure.services.stories import END_CAUSES, YIELDED, Stories
from dure.services.views import (
    NEVER_S,
    NO_JOB,
    JobColumns,
    JobRow,
    JobStory,
    LoanRow,
    Numbers,
    Why,
)
from dure.services.words import REFUSALS


class Look:
    """Jobs as screens see them, of one snapshot; what is not in it is asked of the demand."""

    def __init__(
        self,
        snap: Snapshot,
        demand: Demand,
        stories: Stories,
        returns: Returns,
        known: Known,
    ) -> None:
        self._snap, self._demand, self._stories, self._returns = snap, demand, stories, returns
        self._known, self._reasons = known, Reasons(snap)
        self._accounts = [one.name for one in snap.state.accounts]
        self._providers = (*snap.state.pool.providers, "")
        # Listed last: they are with the engine no sooner than those they wait for are over.
        held = demand.held.held(standing_in(snap.state))
        self.held = [asked for job in held if (asked := demand.jobs.get(job)) is not None]

    def places(self) -> IntArray:
        """Return the row of each job that runs, by job."""
        running = self._snap.index[: self._snap.running]
        places = np.full(int(running.max(initial=-1)) + 1, NO_JOB, dtype=np.int64)
        places[running] = np.arange(running.size)
        return places

    def columns(self) -> JobColumns:
        snap, held = self._snap, self.held
        names = Coded(snap.state.job_names, snap.index)
        shown = JobColumns(
            ids=names,
            row=self.row,
            project=Coded(self._accounts, snap.jobs[col.J_PROJECT]),
            provider=Coded(self._providers, snap.jobs[col.J_PROVIDER]),
            user=_Users(self._demand, names),
            state=Coded(col.JOB_STATES, snap.jobs[col.J_STATE]),
        )
        if not held:
            return shown
        return JobColumns(
            ids=Joined(shown.ids, [one.job for one in held]),
            row=self.row,
            project=Joined(shown.project, [one.project for one in held]),
            provider=Joined(shown.provider, [one.provider for one in held]),
            user=Joined(shown.user, [one.user for one in held]),
            state=Joined(shown.state, [col.JOB_STATES[col.PENDING]] * len(held)),
        )

    def held_milli(self) -> int:
        """Return what the jobs ask for that are held back, in thousandths of a GPU."""
        requests = (one.request for one in self.held)
        return sum(one.gpus * one.gpu_milli for one in requests if one is not None)

    def row(self, place: int) -> JobRow:
        """Return one row of the snapshot, or of those that are held back."""
        snap = self._snap
        if place >= len(snap.index):
            return self._fresh_row(self.held[place - len(snap.index)])
        return self._row(snap.state.job_names[int(snap.index[place])], snap.jobs[:, place], place)

    def why(self, name: str) -> Why | None:
        snap, job = self._snap, self._number(name)
        if job is None:
            asked = self._demand.jobs.get(name)
            return None if asked is None else self._why_held(asked)
        place = snap.place(job)
        if not snap.running <= place < snap.running + snap.waiting:
            return None
        return self._reasons.why(
            place,
            return_s=self._return_s(place),
            interval=self._known.interval(job, snap.now_s),
        )

    def story(self, name: str) -> JobStory | None:
        """Return everything about a job, also one that was taken after this view was made."""
        state, asked = self._snap.state, self._demand.jobs.get(name)
        job = self._number(name)
        if job is None:
            return None if asked is None else JobStory(self._fresh_row(asked), (), _wishes(asked))
        place = self._snap.place(job)
        column = self._snap.jobs[:, place] if place >= 0 else state.c.jobs[:, job]
        row = self._row(name, column, place)
        stop_by_s = int(column[col.J_STOP_AT]) if row.state in ("RUNNING", "STOPPING") else NEVER_S
        wishes = dict(_wishes(asked)) if asked is not None else _asked_columns(column)
        exit_code = self._stories.exit_code(job)
        if asked is not None and exit_code is not None:
            wishes["exit_code"] = str(exit_code)
        cause = self._stop_cause(job, column) if stop_by_s != NEVER_S else ""
        return JobStory(row, self._stories.attempts(state, job), wishes, stop_by_s, cause)

    def loans(self) -> Sequence[LoanRow]:
        """Return the running gangs that stand on somebody's entitlement, all or in part."""
        snap, found = self._snap, []
        names = snap.state.job_names
        running = snap.jobs[:, : snap.running]
        # An own gang borrows what it has beyond its size.
        own = np.where(running[col.J_CLASS] == col.OWN, running[col.J_SIZE], 0)
        lent = running[col.J_USED] // running[col.J_MILLI] - own
        lent[running[col.J_CLASS] == col.SCAVENGE] = 0
        for place in (lent > 0).nonzero()[0].tolist():
            job, column = int(snap.index[place]), snap.jobs[:, place]
            back = self._returns.open_of_borrower(job)
            found.append(
                LoanRow(
                    names[job],
                    self._accounts[int(column[col.J_PROJECT])]
                    or self._providers[int(column[col.J_PROVIDER])]
                    or self._user(names[job]),
                    snap.state.pool.types[int(column[col.J_PLACED_TYPE])],
                    int(lent[place]),
                    int(column[col.J_STARTED]),
                    names[back.claimant] if back else "",
                    back.lender if back else "",
                    back.due_at_s if back else NEVER_S,
                )
            )
        return found

    def _why_held(self, asked: Asked) -> Why:
        """Return why a job waits that the engine has not seen yet."""
        condition = self._demand.conditions.get(asked.submission)
        if condition is not None:
            job = condition.waits_for(standing_in(self._snap.state))
            if job is not None:
                return Why("WaitingForJob", {"job": job})
            if condition.at_once:
                numbers: Numbers = {"job": asked.submission, "at_once": condition.at_once}
                return Why("JobArrayTaskLimit", numbers)
        return why_just_taken()

    def _fresh_row(self, asked: Asked) -> JobRow:
        """Return the row of a job that the engine has not seen yet."""
        request = asked.request
        return JobRow(
            asked.job,
            request.name if request else "",
            asked.project,
            asked.provider,
            asked.user,
            col.JOB_STATES[col.PENDING],
            "",
            request.accelerator if request else "",
            request.gpus if request else 0,
            request.gpu_milli if request else col.WHOLE,
            asked.at_s,
            NEVER_S,
            NEVER_S,
            self._why_held(asked).code,
            NEVER_S,
            request.interactive if request else "",
        )

    def _number(self, name: str) -> int | None:
        """Return a job's number, None for one that was taken after this moment."""
        job = self._snap.state.job_index.get(name)
        return job if job is not None and job < self._snap.known else None

    def _return_s(self, place: int) -> int:
        """Return when the GPUs that were called back for a job are expected, if any were."""
        return self._returns.expected_start_s(self._snap.state, int(self._snap.index[place]))

    def _stop_cause(self, job: int, column: IntArray) -> str:
        if column[col.J_STOP_CAUSE] == col.BY_MOVE:
            return col.END_CAUSES[col.BY_MOVE]
        if self._returns.open_of_borrower(job) is None:
            return "ordered"
        stays = self._stories.stays(job)
        return END_CAUSES[YIELDED if stays and stays[-1].gives_way else col.BY_RECLAIM]

    def _user(self, name: str) -> str:
        asked = self._demand.jobs.get(name)
        return asked.user if asked else ""

    def _row(self, name: str, column: IntArray, place: int) -> JobRow:
        status, asked = int(column[col.J_STATE]), self._demand.jobs.get(name)
        stands = status in (col.RUNNING, col.STOPPING)
        # Of a job that waits again, what matters is when it starts again.
        has_run = status != col.PENDING
        reason, earliest_s = "", NEVER_S
        if status == col.PENDING and place >= 0:
            reason = self._reasons.code(place)
            earliest_s = self._reasons.earliest_s(place, return_s=self._return_s(place))
        elif status == col.REFUSED:
            reason = REFUSALS[int(column[col.J_REASON])]
        types = self._snap.state.pool.types
        is_placed = has_run and column[col.J_FIRST_START] >= 0
        wished = asked.request.accelerator if asked and asked.request else ""
        return JobRow(
            name,
            asked.request.name if asked and asked.request else "",
            self._accounts[int(column[col.J_PROJECT])],
            self._providers[int(column[col.J_PROVIDER])],
            asked.user if asked else "",
            col.JOB_STATES[status],
            col.KINDS[int(column[col.J_CLASS])] if stands else "",
            types[int(column[col.J_PLACED_TYPE])] if is_placed else wished,
            int(column[col.J_GPUS]),
            int(column[col.J_MILLI]),
            int(column[col.J_SUBMIT]),
            int(column[col.J_STARTED if stands else col.J_FIRST_START]) if has_run else NEVER_S,
            int(column[col.J_ENDED]),
            reason,
            earliest_s,
            asked.request.interactive if asked and asked.request else "",
            *self._use(int(column[col.J_NUMBER])),
            self._stories.exit_code(int(column[col.J_NUMBER])) if status >= col.COMPLETED else None,
        )

    def _use(self, job: int) -> tuple[int, int]:
        """Return how long a job stood on GPUs, and the GPU-seconds of that, up to this moment."""
        held_s = milli_s = 0
        now_s = self._snap.now_s
        for stay in self._stories.stays(job):
            # The stories go on; this view stays as it was.
            to_s = now_s if stay.to_s == NEVER_S else min(stay.to_s, now_s)
            took_s = max(0, to_s - stay.from_s)
            held_s += took_s
            milli_s += stay.milli * took_s
        return held_s, milli_s // col.WHOLE


class _Users(Sequence[str]):
    """Who submitted each job; "" for jobs that nobody submitted by hand."""

    def __init__(self, demand: Demand, names: Sequence[str]) -> None:
        self._demand, self._names = demand, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return _Users(self._demand, self._names[index])
        return self._of(self._names[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._of, self._names)

    def _of(self, name: str) -> str:
        asked = self._demand.jobs.get(name)
        return asked.user if asked else ""


_WISHES = (
    ("nodes", 0),
    ("gpus_per_node", 0),
    ("segment_gpus", 0),
    ("min_gpus", 0),
    ("estimate_s", -1),
    ("checkpoint_every_s", 0),
    ("checkpoint_takes_s", -1),
    ("deadline_at_s", -1),
)
# The engine's columns of the same, in the same order.
_WISHED = (
    col.J_NODES,
    col.J_GPN,
    col.J_SEGMENT,
    col.J_MIN_GPUS,
    col.J_ESTIMATE,
    col.J_CKPT_EVERY,
    col.J_CKPT_TAKES,
    col.J_DEADLINE,
)


def _wishes(asked: Asked) -> Mapping[str, str]:
    """Return what a job was asked for beyond its size, as ``asked.KEY`` names it."""
    request = asked.request
    if request is None:
        return {}
    found = {"preemptible": "true" if request.preemptible else "false", "grade": request.grade}
    if request.locality != "any":
        found["locality"] = request.locality
    if request.gang_class:
        found["class"] = request.gang_class
    for name, absent in _WISHES:
        if (value := getattr(request, name)) != absent:
            found[name] = str(value)
    for name in ("interactive", "image", "workdir"):
        if text := getattr(request, name):
            found[name] = text
    if request.workdir_sha256:
        found.setdefault("workdir", request.workdir_sha256[:12])
    for name in ("after", "after_any", "after_start"):
        if jobs := getattr(request, name):
            found[name] = ", ".join(jobs)
    if request.array:
        found["array"] = request.array
    if request.command:
        found["command"] = " ".join(request.command)
    return found


def _asked_columns(column: IntArray) -> dict[str, str]:
    """Return the same of a job that nobody submitted by hand, from the engine's columns."""
    found = {"preemptible": "true" if column[col.J_PREEMPTIBLE] else "false"}
    for row, (name, absent) in zip(_WISHED, _WISHES, strict=True):
        if column[row] not in (absent, 0, -1):
            found[name] = str(int(column[row]))
    return found
