"""One attempt of a job on a Slurm site, from its written intent to its acknowledged end.

What must survive us stands in files: the intent, Slurm's id (written once, by whoever comes first),
the lock (whoever takes it decides whether the attempt ever begins) and the end.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dure.core.errors import DriverError
from dure.core.orders import JOB_PREEMPTED, JOB_REQUEUED, JOB_VANISHED, NODE_FAILED, Receipt
from dure.drivers import files
from dure.drivers.ends import EXIT_KILLED, Written, receipt_of, written_at
from dure.drivers.interactive.gate import lay_out as lay_out_gate
from dure.drivers.places import Places
from dure.drivers.slurm.launch import Submission
from dure.drivers.slurm.queue import Queue, QueuedJob
from dure.drivers.workdirs import lay_work_dir

EXIT_TERMINATED = 128 + 15
# What Slurm refuses is tried so often, then it is a failure with Slurm's words.
REFUSALS_MAX = 3
# A folder that the nodes share may show a file so many looks at the queue later.
LOOKS_UNTIL_EXPLAINED = 2


class SlurmAttempt:
    """One attempt; the driver asks what is to be done and says what came of it.

    Attributes:
        slurm_id: of the one Slurm job that may be released, None until it is recorded.
        is_sure: no job of it can be at Slurm that we do not know of.
        unsure_since: number of the look at the queue after which that can be settled.
    """

    def __init__(self, places: Places, *, now_s: Callable[[], int], is_new: bool = False) -> None:
        self.places, self.key = places, (places.job, places.attempt)
        self._now_s = now_s
        self.receipt: Receipt | None = None
        self.is_sure, self.unsure_since = is_new, 0
        self.is_released = False
        self.force_at_s: float | None = None
        self.asked_again_at_s = 0.0
        self.stop_by_s: int | None = None
        self.refusals = 0
        self.gone_since: int | None = None
        self._must_stop = False
        self._has_begun = False
        self.read_intent()
        self.slurm_id = recorded_id(places)

    # --- what was written ------------------------------------------------------------------

    @staticmethod
    def write_intent(places: Places, submission: Submission) -> None:
        """Write the order down; the driver makes it durable before anything is submitted."""
        launch = submission.launch
        intent = {
            "mark": submission.mark,
            "argv": submission.argv,
            "nodes": submission.nodes,
            "env": [f"{name}={value}" for name, value in launch.env.items()],
            "steps": launch.steps,
            "image": launch.inside_if_there,
            "scripts": [[path.name, text] for path, text in launch.scripts],
            "workdir": str(launch.workdir or ""),
            "project_dir": str(launch.project_dir or ""),
            "remark": launch.remark,
            "gate": {"addresses": submission.addresses, "ports": submission.ports},
        }
        files.write(str(places.intent), json.dumps(intent))

    def read_intent(self) -> None:
        """Take up what the intent says; one that a power cut has torn says nothing."""
        self._order: Written = written_at(self.places.intent) or {}

    @property
    def mark(self) -> str:
        return str(self._order.get("mark", ""))

    @property
    def argv(self) -> Sequence[str]:
        return [str(word) for word in self._order.get("argv", ())]

    @property
    def nodes(self) -> Sequence[str]:
        return [str(node) for node in self._order.get("nodes", ())]

    @property
    def is_asked_to_stop(self) -> bool:
        return self._must_stop or self.places.of_attempt("stop").exists()

    @property
    def is_noticed(self) -> bool:
        """Tell whether it was told to leave, by us or by whoever was here before."""
        return self.stop_by_s is not None or self.places.of_attempt("notice").exists()

    @property
    def has_begun(self) -> bool:
        """Tell whether its work has begun; from then on it listens to signals."""
        if not self._has_begun:
            self._has_begun = "slurm" in (written_at(self.places.of_attempt("lock")) or {})
        return self._has_begun

    def lay_out(self) -> None:
        """Make the folders and files that the nodes read; made again from the intent if lost.

        If the folder sent with the job is gone or cannot be unpacked, that is its end; so it is if
        the gate of a session gets no key.

        Raises:
            OSError: if the disk is full.
        """
        places, order = self.places, self._order
        archive, project = (str(order.get(what, "")) for what in ("workdir", "project_dir"))
        try:
            lay_work_dir(
                places.work_dir,
                archive=Path(archive) if archive else None,
                project_dir=Path(project) if project else None,
            )
        except DriverError as wrong:
            self.settle_unbegun("failed", f"WorkFolderMissing: {wrong}", 1)
            return
        for folder in (places.checkpoint_dir, places.control_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        places.of_attempt("remark").write_text(str(order.get("remark", "")), encoding="utf-8")
        gate = order.get("gate", {})
        if gate.get("addresses"):
            try:
                lay_out_gate(places.gate_dir, gate["addresses"], tuple(gate["ports"]))
            except DriverError as wrong:
                self.settle_unbegun("failed", f"SessionHasNoKey: {wrong}", 1)
                return
        for name, text in self._order["scripts"]:
            path = places.job_dir / name
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
            path.chmod(0o700)
        steps: list[str] = []
        for step in self._order["steps"]:
            steps += [str(len(step)), *step]
        image = self._order.get("image", ())
        for what, words in (("env", self._order["env"]), ("steps", steps), ("image", image)):
            text = "".join(f"{word}\0" for word in words)
            places.of_attempt(what).write_text(text, encoding="utf-8", errors="surrogateescape")

    # --- its beginning ---------------------------------------------------------------------

    def record(self, slurm_id: int) -> bool:
        """Record the one id that may be released; False if another one was recorded before.

        After a power cut that took the record the job itself, which has our mark, is found again.
        """
        path = str(self.places.of_attempt("slurm"))
        self.places.control_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.places.of_attempt("slurm").exists() and recorded_id(self.places) is None:
            # Torn by a power cut; whole ones appear in one step.
            files.remove(path)
        if recorded_id(self.places) is None and files.create_exclusively(
            path, f"{slurm_id}\n", durable=False
        ):
            self.slurm_id = slurm_id
        else:
            self.slurm_id = recorded_id(self.places)
        return self.slurm_id == slurm_id

    def adopt(self, queue: Queue) -> None:
        """Take up what is at Slurm already; sure again once a later look shows nothing of it."""
        ids = queue.by_mark.get(self.mark, ())
        if ids:
            # One that is not held has been released once: it was the recorded one.
            self.record(min(ids, key=lambda one: (queue.jobs[one].is_held, one)))
        elif queue.number > self.unsure_since:
            self.is_sure = True

    def is_refused(self, words: str) -> None:
        """Slurm refused it; after so many times that is its end."""
        self.refusals += 1
        if self.refusals >= REFUSALS_MAX:
            self.settle_unbegun("failed", f"SlurmRefused: {words}")

    def settle_unbegun(self, kind: str, reason: str, exit_code: int = 0) -> None:
        """Take the lock ourselves, so that it can never begin any more, and that is its end.

        Without effect if it has begun meanwhile.
        """
        end = {"kind": kind, "exit_code": exit_code, "at_s": self._now_s(), "reason": reason}
        self.places.control_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = str(self.places.of_attempt("lock"))
        if files.create_exclusively(lock, json.dumps(end)):
            self.receipt = self._receipt(end)

    # --- its end ---------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Remember durably that it must stop."""
        if self.receipt is not None:
            return
        self._must_stop = True
        # On a full disk it is stopped all the same; only a restart would have to ask again.
        with contextlib.suppress(OSError):
            self.places.control_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = str(self.places.of_attempt("stop"))
            files.create_exclusively(path, json.dumps({"at_s": self._now_s()}))

    def write_notice(self, stop_by_s: int) -> None:
        """Write down by when it must leave."""
        self.stop_by_s = stop_by_s
        path = self.places.of_attempt("notice")
        if files.text_at(str(path)) != f"{stop_by_s}\n":
            # It may be called back before it was laid out: Slurm has not answered yet, say.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_durably(str(path), f"{stop_by_s}\n")

    def look_for_end(self) -> None:
        """Take the word of the files on how it ended, if there is one."""
        if self.receipt is not None:
            return
        lock = written_at(self.places.of_attempt("lock")) or {}
        end = lock if "kind" in lock else None
        for path in (self.places.done, self.places.of_attempt("exit")):
            end = end or written_at(path)
        if end:
            self.receipt = self._receipt(end)

    def explain(self, job: QueuedJob | None, queue: Queue) -> None:
        """Slurm has ended the job or knows it no more, and no end is written: say what that was."""
        if self.gone_since is None:
            self.gone_since = queue.number
        if queue.number < self.gone_since + LOOKS_UNTIL_EXPLAINED:
            return
        end = _end_by(job, has_begun=self.has_begun, asked_to_stop=self.is_asked_to_stop)
        if not self.has_begun:
            self.settle_unbegun(str(end["kind"]), str(end["reason"]), int(end["exit_code"]))
        if self.receipt is not None:
            return
        # A node that Slurm has lost may still run it; there this file is its order to end.
        end["at_s"] = self._now_s()
        if not files.create_exclusively(str(self.places.done), json.dumps(end)):
            self.look_for_end()
        if self.receipt is None:
            files.write_durably(str(self.places.done), json.dumps(end))
            self.look_for_end()

    def cleaned(self) -> Mapping[str, Written]:
        """Return the evidence of each node that has given some."""
        found = {}
        for node in self.nodes:
            evidence = written_at(self.places.clean_of(node))
            if evidence:
                found[node] = evidence
        return found

    @property
    def never_began(self) -> bool:
        return "kind" in (written_at(self.places.of_attempt("lock")) or {})

    def _receipt(self, end: Written) -> Receipt:
        asked = self.is_asked_to_stop
        return receipt_of(end, self.places, asked_to_stop=asked, now_s=self._now_s())


def recorded_id(places: Places) -> int | None:
    """Return the one id of Slurm that may be released for an attempt, None if none is recorded."""
    text = files.text_at(str(places.of_attempt("slurm"))) or ""
    return int(text) if text.strip().isdecimal() else None


def _end_by(job: QueuedJob | None, *, has_begun: bool, asked_to_stop: bool) -> Written:
    """Say what an end was of which Slurm alone speaks."""
    state = job.state if job else "VANISHED"
    if asked_to_stop:
        return {"kind": "stopped", "exit_code": EXIT_TERMINATED, "reason": "StoppedByForce"}
    if state in _OTHERS:
        reason, code = _OTHERS[state]
        return {"kind": "ended", "exit_code": code, "reason": reason}
    if has_begun:
        return {"kind": "ended", "exit_code": EXIT_KILLED, "reason": "EndUnwritten"}
    # Its nodes could not even begin: they do not share our folder, say.
    return {"kind": "failed", "exit_code": 1, "reason": "NotBegunByItsNode"}


_OTHERS = {
    "VANISHED": (JOB_VANISHED, EXIT_KILLED),
    "NODE_FAIL": (NODE_FAILED, EXIT_KILLED),
    "BOOT_FAIL": (NODE_FAILED, EXIT_KILLED),
    "PENDING": (JOB_REQUEUED, EXIT_TERMINATED),
    "PREEMPTED": (JOB_PREEMPTED, EXIT_TERMINATED),
    "CANCELLED": ("CancelledAtTheSite", EXIT_TERMINATED),
    "TIMEOUT": ("TimeLimitOfTheSite", EXIT_TERMINATED),
    "DEADLINE": ("TimeLimitOfTheSite", EXIT_TERMINATED),
    "OUT_OF_MEMORY": ("OutOfMemory", EXIT_KILLED),
}
