"""A small real pool, and a desk over any view, for tests of screens."""

import numpy as np

from dure.services.access import Actor
from dure.services.desks import (
    CancelAnswer,
    DrainAnswer,
    Output,
    Refused,
    Submission,
    Submitted,
)
from dure.services.ports import Line
from dure.services.programme_views import FieldProblem
from dure.services.views import (
    IDLE,
    NEVER_S,
    NO_JOB,
    OWN,
    Attempt,
    History,
    JobRow,
    JobStory,
    Lending,
    Name,
    NodeColumns,
    PoolView,
    SupplyRow,
)
from tests.portal.filled import NOW_S, columns_of, kinds_of

TITLE = Name("이 기계", "This machine")


def here_nodes() -> NodeColumns:
    zero = np.zeros(1, dtype=np.int32)
    return NodeColumns(
        ["here-1"], ["here"], ["here"], ["here"], ["GPU"], zero, zero, zero, zero,
        np.full(1, 8, dtype=np.int32), np.ones(1, dtype=np.uint8),
    )  # fmt: skip


def here_view() -> PoolView:
    """Return a small real pool: eight counted slots, one job on two of them."""
    state = np.array([OWN, OWN, IDLE, IDLE, IDLE, IDLE, IDLE, IDLE], dtype=np.uint8)
    job = np.array([0, 0, *[NO_JOB] * 6], dtype=np.int32)
    row = JobRow("h1", "hello", "", "", "kang.min", "RUNNING", "own", "GPU", 2, 1000,
                 NOW_S - 100, NOW_S - 95, NEVER_S, "", NEVER_S)  # fmt: skip
    kinds = kinds_of(state)
    attempt = Attempt(1, "own", ("here-1",), 2, NOW_S - 95, NEVER_S, "", 0)
    stories = {"h1": JobStory(row, (attempt,), {})}
    nothing = np.zeros(0, dtype=np.int64)
    return PoolView(
        name="here",
        title=TITLE,
        imagined=False,
        seq=1,
        now_s=NOW_S,
        from_s=NOW_S - 3600,
        speed=1,
        policy="dure",
        gpus=8,
        public_gpus=8,
        kinds_milli=kinds,
        kinds_gpu_s=tuple(milli // 1000 * 3600 for milli in kinds),
        waiting_jobs=0,
        waiting_gpus=0,
        running_jobs=1,
        done_jobs=0,
        supply=[
            SupplyRow("here", cluster, TITLE, "GPU", "public", 1, 8, 8, kinds)
            for cluster in ("", "here")
        ],
        nodes=here_nodes(),
        device_state=state,
        device_job=job,
        closed_by=np.zeros(1, dtype=np.uint8),
        jobs=columns_of([row]),
        loans=(),
        reclaims=(),
        lending=Lending(600, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        history=History(nothing, np.zeros((7, 0), dtype=np.int64), nothing, nothing),
        why=lambda job: None,
        story=stories.get,
    )


class FilledPool:
    """A pool desk over a view that tests may replace."""

    def __init__(self, view: PoolView, *, takes_jobs: bool) -> None:
        self.shown, self._takes_jobs = view, takes_jobs
        self.submitted: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.workdirs_named: list[str] = []

    def view(self) -> PoolView:
        return self.shown

    def takes_jobs(self) -> bool:
        return self._takes_jobs

    def submit(self, submission: Submission, *, by: Actor) -> Submitted | Refused:
        if "accelerators: GPU:99" in submission.text:
            return Refused((FieldProblem("gpus", "TooManyGpus", {"gpus": 99}),))
        self.workdirs_named += [submission.workdir_sha256] * bool(submission.workdir_sha256)
        if submission.key in self.submitted:
            known = self.submitted[submission.key]
            return Submitted(known, (known,), is_repeat=True)
        self.submitted[submission.key] = "h1"
        return Submitted("h1", ("h1",))

    def elements(self, job: str) -> tuple[str, ...]:
        return ()

    def cancel(self, job: str, *, by: Actor) -> CancelAnswer:
        self.cancelled.append(job)
        return CancelAnswer.STOPPING

    def drain(self, node: str, *, reason: str, by: Actor) -> DrainAnswer:
        return DrainAnswer.CLOSED if node in self.shown.nodes.ids else DrainAnswer.NOT_FOUND

    def resume(self, node: str, *, by: Actor) -> DrainAnswer:
        return DrainAnswer.STILL_CLOSED if node in self.shown.nodes.ids else DrainAnswer.NOT_FOUND

    def output(self, job: str, *, offset: int) -> Output | None:
        if not self._takes_jobs:
            return None
        text = "hello from here-1\n"
        start = max(0, len(text) + offset) if offset < 0 else min(offset, len(text))
        return Output(text[start:], start, len(text), is_end=False)

    def has_sessions(self) -> bool:
        return self._takes_jobs

    def line(self, job: str) -> Line | None:
        return None
