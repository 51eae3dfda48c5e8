"""A small pool for told stories: submit jobs by keyword, let time pass, look who runs where."""

import numpy as np

from dure.core import columns as col
from dure.core.check import violations
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.policy import policy_named
from dure.core.pool import Pool
from dure.core.state import ASKED, Account, CycleRecord, Jobs, State, no_jobs
from tests.core.worlds import FactRow, pool_of_rows

DEFAULTS = {
    col.J_PROVIDER: -1,
    col.J_GPUS: 1,
    col.J_MILLI: col.WHOLE,
    col.J_TYPES: -1,
    col.J_LEVEL: col.AT_ANY,
    col.J_ESTIMATE: -1,
    col.J_CKPT_TAKES: -1,
    col.J_PREEMPTIBLE: 1,
    col.J_DEADLINE: -1,
    col.J_AFTER: -1,
    col.J_WORK: 1000,
}


def flat_pool(*gpus: int, leaves: int = 1, cpu: int = 0) -> Pool:
    """Return nodes of these sizes, dealt to leaves in turn."""
    rows = [("q", "c", "p", f"l{i % leaves}", "B200", "C") for i in range(len(gpus))]
    return pool_of_rows(rows, [(size, cpu, 0) for size in gpus])


# What is off unless asked for is tried in every story.
WATCHFUL: dict[str, object] = {"swap": True, "lemon_faults": 3}


class Bench:
    """One pool; ``owner``, ``guest`` ... are projects, listed as they are named."""

    def __init__(self, pool: Pool, policy: str = "dure", **rules: object) -> None:
        self.state = State(pool, policy_named(policy, **WATCHFUL | rules))
        self.decided: list[list[int]] = []
        self._facts: list[FactRow] = []
        self._accounts: list[Account] = []
        self._jobs: list[np.ndarray] = []

    def account(self, name: str) -> int:
        key = (col.ACCOUNT_PROJECT, name)
        listed = [(one.kind, one.name) for one in (*self.state.accounts, *self._accounts)]
        if name and key not in listed:
            self._accounts.append(Account(name, col.ACCOUNT_PROJECT))
            listed.append(key)
        return listed.index(key) if name else 0

    def entitle(
        self, name: str, gpus: int, *, index: int = 0, from_s: int = 0, to_s: int = col.FOREVER_S
    ) -> None:
        account = self.account(name)
        self.observe(col.K_ALLOCATED, to_s, index, account, 0, gpus * col.WHOLE, from_s)

    def submit(self, owner: str = "", **asked: int) -> int:
        """Hand in a job; keywords are columns without their ``J_``. Return its index."""
        job = len(self.state.job_names) + len(self._jobs)
        column = np.zeros(ASKED, dtype=np.int64)
        for row, value in DEFAULTS.items():
            column[row] = value
        column[col.J_TYPES] = (1 << len(self.state.pool.types)) - 1
        column[col.J_SUBMIT] = max(self.state.now_s, 0)
        column[col.J_OWNER] = column[col.J_PROJECT] = self.account(owner)
        for name, value in asked.items():
            column[getattr(col, f"J_{name.upper()}")] = value
        self._jobs.append(column)
        self.observe(col.K_SUBMITTED, job)
        return job

    def observe(self, kind: int, *rest: int) -> None:
        self._facts.append((kind, max(self.state.now_s, 0), *rest))

    def end(self, job: int, state: int = col.COMPLETED) -> None:
        self.observe(col.K_ENDED, job, int(self.state.c.jobs[col.J_ATTEMPT, job]), state)

    def at(self, now_s: int) -> list[list[int]]:
        """Run one cycle and check everything; return what was decided, without the times."""
        jobs = no_jobs()
        if self._jobs:
            first = len(self.state.job_names)
            names = [f"j{first + i}" for i in range(len(self._jobs))]
            jobs = Jobs(names, np.stack(self._jobs, axis=1))
        observed = Observed(self._accounts, jobs, facts_of(self._facts))
        self._facts, self._accounts, self._jobs = [], [], []
        record: CycleRecord = plan_cycle(self.state, observed, now_s).record
        assert violations(self.state) == []
        self.decided = record.decided.tolist()
        return self.decided

    def told(self, kind: int) -> list[list[int]]:
        """Return the last cycle's decisions of a kind: [job, a, b, c, d, e]."""
        return [fact[2:] for fact in self.decided if fact[0] == kind]

    def is_(self, job: int) -> str:
        return col.JOB_STATES[int(self.state.c.jobs[col.J_STATE, job])]

    def kind(self, job: int) -> str:
        return col.KINDS[int(self.state.c.jobs[col.J_CLASS, job])]

    def number(self, row: int, job: int) -> int:
        return int(self.state.c.jobs[row, job])

    def nodes(self, job: int) -> list[int]:
        found, row = [], self.number(col.J_ROWS, job)
        while row >= 0:
            found.append(int(self.state.c.rows[col.R_NODE, row]))
            row = int(self.state.c.rows[col.R_NEXT_OF_JOB, row])
        return sorted(found)
