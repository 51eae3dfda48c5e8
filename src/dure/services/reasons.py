"""Why a job waits: a code with its numbers, what would help, and the earliest start."""

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.services.snapshot import Snapshot
from dure.services.views import NEVER_S, Numbers, Why

Help = tuple[str, Numbers]


def why_just_taken() -> Why:
    """Return why a job waits that the engine has not looked at yet."""
    return Why("WaitingForNextCycle")


def why_waits(snap: Snapshot, place: int, *, return_s: int = NEVER_S) -> Why:
    """Say why a waiting job has not started.

    Args:
        place: the job's row in the snapshot.
        return_s: when the GPUs that were called back for it are expected, if any were.
    """
    job = _Waiting(snap, place)
    if not snap.after_done[place]:
        after = snap.state.job_names[int(job.column[col.J_AFTER])]
        return Why("WaitingForJob", {"job": after})
    due_at_s = int(job.column[col.J_CLAIM_DUE])
    if due_at_s >= 0:
        start_s = min(return_s, due_at_s) if return_s != NEVER_S else due_at_s
        numbers = {"gpus": job.gpus, "due_at_s": due_at_s}
        return Why("WaitingForPreemptedWorkloads", numbers, start_s, start_s, due_at_s)
    eligible_s = int(job.column[col.J_ELIGIBLE])
    if not job.can_own and job.may_borrow and eligible_s > snap.now_s:
        return Why("WaitingAfterReclaim", {"until_s": eligible_s}, eligible_s)
    code = _code(job)
    numbers = {
        "gpus": job.gpus,
        "idle_gpus": int(job.idle_milli.max(initial=0)) // col.WHOLE,
        "entitled_gpus": job.entitled_milli // col.WHOLE,
        "ahead": job.ahead,
    }
    earliest_s = NEVER_S if code == "ExceedsMaxQuota" else _earliest_s(job)
    return Why(code, numbers, earliest_s, would_help=_help(job, code))


class _Waiting:
    """One waiting job, held against the snapshot."""

    def __init__(self, snap: Snapshot, place: int) -> None:
        self.snap, self.place = snap, place
        self.column: IntArray = snap.jobs[:, place]
        self.gpus = int(self.column[col.J_GPUS])
        self.need_milli = self.gpus * int(self.column[col.J_MILLI])
        mask = int(self.column[col.J_TYPES])
        kinds = np.arange(snap.idle_milli.size)
        self.types: IntArray = kinds[(mask >> kinds & 1) == 1]
        self.idle_milli: IntArray = snap.idle_milli[self.types]
        self.ahead = place - snap.running
        asked = int(self.column[col.J_CLASS_ASKED])
        self.may_borrow = bool(self.column[col.J_PREEMPTIBLE]) and asked != 1 + col.OWN
        self.may_own = asked in (0, 1 + col.OWN)
        self.owner = int(self.column[col.J_OWNER])
        entitled = snap.rights[col.E_ENTITLED, self.owner, self.types]
        used = snap.rights[:, self.owner, self.types]
        left = entitled - used[col.E_OWN] - used[col.E_CLAIMED]
        is_pool = snap.kinds_of_account[self.owner] == col.ACCOUNT_POOL
        self.has_every_right = bool(is_pool) or snap.policy.name != "dure"
        self.entitled_milli = 0 if self.has_every_right else int(entitled.max(initial=0))
        self.left_milli = int(left.max(initial=0))
        fits = self.has_every_right or self.left_milli >= self.need_milli
        self.can_own = self.may_own and fits

    @property
    def is_room_idle(self) -> bool:
        """Tell whether enough GPUs of one type stand idle, be it far apart."""
        return bool((self.idle_milli >= self.need_milli).any())


def _code(job: _Waiting) -> str:
    if not job.can_own and not job.may_borrow:
        too_large = job.may_own and job.need_milli > job.entitled_milli
        return "ExceedsMaxQuota" if too_large else "WaitingForQuota"
    if job.is_room_idle:
        return "TopologyPlacementFailed"
    if not job.can_own:
        return "WaitingForQuota"
    return "WaitingForTurn" if job.ahead else "WaitingForRoom"


def _earliest_s(job: _Waiting) -> int:
    """Return when enough will be free if every job ends as it estimated; ``NEVER_S`` if unknown.

    Jobs before it in the line that accept the same types take theirs first.
    """
    snap = job.snap
    running = snap.jobs[:, : snap.running]
    mine = np.isin(running[col.J_PLACED_TYPE], job.types)
    have = int(job.idle_milli.sum())
    need = job.need_milli
    if not job.can_own and not job.may_borrow:
        # It waits for its own project's jobs alone.
        mine &= (running[col.J_OWNER] == job.owner) & (running[col.J_CLASS] == col.OWN)
        have = job.left_milli
    else:
        before = snap.jobs[:, snap.running : job.place]
        mask = int(job.column[col.J_TYPES])
        same = (before[col.J_TYPES] & mask) != 0
        need += int((before[col.J_GPUS] * before[col.J_MILLI])[same].sum())
    end_s = running[col.J_STARTED] + running[col.J_ESTIMATE]
    known = mine & (running[col.J_ESTIMATE] >= 0)
    order = np.argsort(end_s[known], kind="stable")
    milli = have + np.cumsum(running[col.J_USED][known][order])
    enough = np.flatnonzero(milli >= need)
    if have >= need or not enough.size:
        return NEVER_S
    found_s = int(end_s[known][order][enough[0]]) + snap.policy.cleaning_s
    # A job that has run longer than it said may end at any moment.
    return max(found_s, snap.now_s + 1)


def _help(job: _Waiting, code: str) -> tuple[Help, ...]:
    snap, found = job.snap, []
    all_types = (1 << snap.idle_milli.size) - 1
    if not job.column[col.J_PREEMPTIBLE] and not job.has_every_right and snap.policy.lend:
        found.append("allow_preemption")
    takes_all = int(job.column[col.J_TYPES]) & all_types == all_types
    others = np.delete(snap.idle_milli, job.types)
    if not takes_all and (others >= job.need_milli).any():
        found.append("any_accelerator")
    if job.gpus > 1 and (job.idle_milli > 0).any():
        found.append("smaller")
    if code == "TopologyPlacementFailed" and job.column[col.J_LOCALITY] != col.LOCALITY_ANY:
        found.append("looser_locality")
    if job.column[col.J_ESTIMATE] < 0 and snap.policy.name == "easy":
        found.append("give_estimate")
    return tuple((name, {}) for name in found)
