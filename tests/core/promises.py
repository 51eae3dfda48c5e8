"""An independent bookkeeper of promises: it reads facts alone and says which were not kept."""

from dataclasses import dataclass, field

from dure.core import columns as col
from dure.core.state import CycleRecord, State

GRACE_S = 30


@dataclass
class _Running:
    since_s: int
    attempt: int
    devices: int = 0


@dataclass
class Promises:
    """Feed it every record; ``broken`` lists what should not have happened."""

    state: State  # only for what jobs asked for, which never changes
    broken: list[str] = field(default_factory=list)
    due_at_s: dict[int, int] = field(default_factory=dict)
    running: dict[int, _Running] = field(default_factory=dict)
    told: dict[int, tuple[int, int]] = field(default_factory=dict)  # borrower -> noticed, latest
    reclaims_of: dict[int, int] = field(default_factory=dict)
    pauses_until_s: dict[int, int] = field(default_factory=dict)
    served: int = 0
    reclaimed: int = 0

    def read(self, record: CycleRecord) -> None:
        for fact in (*record.observed.tolist(), *record.decided.tolist()):
            kind, _, job, a, b, c, d, e = fact
            at_s = self.state.now_s
            if kind == col.K_STARTED:
                self.running[job] = _Running(at_s, a)
                if b != col.OWN:
                    self._lent(job, at_s)
            elif kind == col.K_RECLASSED:
                self.running[job].attempt = a
            elif kind == col.K_ENDED and job in self.running and self.running[job].attempt == a:
                del self.running[job]
                self.told.pop(job, None)
            elif kind == col.K_CLAIMED:
                self.due_at_s[job] = a
            elif kind == col.K_CLAIM_ENDED:
                self._claim_ended(job, a, at_s)
            elif kind == col.K_NOTICED:
                self._noticed(job, at_s, stop_at_s=b, saves=c & 1, due_at_s=e)
            elif kind == col.K_WITHDRAWN:
                self.told.pop(job, None)
            elif kind == col.K_STOPPED:
                self._stopped(job, at_s, cause=b, lost=d)

    def close(self, now_s: int) -> None:
        """Look at the claims that are open at the end."""
        for job, due_s in self.due_at_s.items():
            if now_s > due_s + GRACE_S:
                self.broken.append(f"claim of job {job} is open at {now_s}, due at {due_s}")

    def _claim_ended(self, job: int, outcome: int, at_s: int) -> None:
        due_s = self.due_at_s.pop(job)
        if outcome in (col.CLAIM_SERVED, col.CLAIM_ELSEWHERE):
            self.served += 1
            if at_s > due_s + GRACE_S:
                self.broken.append(f"job {job} was promised {due_s} and started at {at_s}")

    def _asked(self, row: int, job: int) -> int:
        return int(self.state.c.jobs[row, job])

    def _next_checkpoint_s(self, job: int, at_s: int) -> int:
        every_s, since_s = self._asked(col.J_CKPT_EVERY, job), self.running[job].since_s
        return since_s + -(-(at_s - since_s) // every_s) * every_s if every_s > 0 else 1 << 60

    def _noticed(self, job: int, at_s: int, *, stop_at_s: int, saves: int, due_at_s: int) -> None:
        p = self.state.policy
        latest_s = due_at_s - p.drain_s - p.cleaning_s - p.start_s
        if job in self.told:
            return
        self.told[job] = (at_s, latest_s)
        takes_s = self._asked(col.J_CKPT_TAKES, job)
        could = takes_s >= 0 and at_s + takes_s <= latest_s
        could = could or self._next_checkpoint_s(job, at_s) <= latest_s
        if could and not saves:
            self.broken.append(f"job {job} could save by {latest_s} and is stopped unsaved")
        if not could and stop_at_s > at_s:
            self.broken.append(f"job {job} cannot save in time and is left to run for nothing")
        if stop_at_s > latest_s:
            self.broken.append(f"job {job} may stay until {stop_at_s}, after {latest_s}")

    def _lent(self, job: int, at_s: int) -> None:
        until_s = self.pauses_until_s.pop(job, at_s)
        if at_s < until_s:
            self.broken.append(f"job {job} was called back and lent to at {at_s}, not {until_s}")

    def _pause_s(self, job: int) -> int:
        p = self.state.policy
        return min(p.backoff_s * 2 ** (self.reclaims_of[job] - 1), p.backoff_s_max)

    def _stopped(self, job: int, at_s: int, *, cause: int, lost: int) -> None:
        noticed = self.told.pop(job, None)
        if cause == col.BY_RECLAIM:
            self.reclaimed += 1
            self.reclaims_of[job] = self.reclaims_of.get(job, 0) + 1
            self.pauses_until_s[job] = at_s + self._pause_s(job)
            if noticed is None:
                self.broken.append(f"job {job} was reclaimed without notice")
            elif lost > 0 and self.state.policy.instant_stop and at_s > noticed[0]:
                self.broken.append(f"job {job} lost work though it had time from {noticed[0]}")
        del self.running[job]
