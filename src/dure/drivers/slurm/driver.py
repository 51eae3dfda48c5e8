"""The backend ``slurm``: attempts as held, pinned batch jobs of a Slurm site.

Launched exactly once: the intent is durable before anything is submitted; jobs are submitted held,
with our mark; Slurm's id is recorded by whoever comes first; only a recorded id is released; every
other held job of ours is cancelled; and whoever takes the attempt's lock decides whether it ever
begins. ``observe`` moves everything on, many attempts with one command of Slurm each.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import RLock
from types import MappingProxyType

from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.drivers import files
from dure.drivers.ends import printed, written_at
from dure.drivers.interactive import gate
from dure.drivers.places import Places, open_intents
from dure.drivers.slurm.attempt import SlurmAttempt, recorded_id
from dure.drivers.slurm.client import SlurmClient, SubmitAnswer
from dure.drivers.slurm.commands import Commands
from dure.drivers.slurm.launch import key_of, plan_submission, script_path
from dure.drivers.slurm.nodes import SiteNodes
from dure.drivers.slurm.queue import Queue
from dure.drivers.slurm.site import own_id, site_beside

log = logging.getLogger("dure.slurm")

GRACE_S = 5
# Beyond its grace, an attempt cleans up and writes its end down; then Slurm ends it by force.
FORCE_S = 20.0
QUEUE_S = 2.0
SUBMITS_MAX = 48
IDS_MAX = 200
SYNCS_AT_ONCE, ASKED_MAX = 8, 50
REST_S = 2.0


class SlurmDriver:
    """Starts, tells, stops and observes attempts on a Slurm site; takes up what runs there.

    Args:
        root: folder of the pool; every node sees it under the same path.
        run: Slurm's commands.
        grace_s: from SIGTERM to SIGKILL when an attempt is stopped.
        queue_s: between two looks at the queue.
        expected: devices by node, as the pool counts on them; a node with fewer is closed.
        now_s: the pool's clock.

    Raises:
        DriverError: if Slurm does not say what it has, and never did.
    """

    def __init__(
        self,
        root: Path,
        run: Commands,
        *,
        grace_s: int = GRACE_S,
        queue_s: float = QUEUE_S,
        expected: Mapping[str, int] = MappingProxyType({}),
        now_s: Callable[[], int] = lambda: int(time.time()),
        monotone_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = root.resolve()
        self._client = SlurmClient(run, monotone_s)
        self._grace_s, self._queue_s = grace_s, queue_s
        self._now_s, self._monotone_s = now_s, monotone_s
        self._lock = RLock()
        for name in ("jobs", "control", "open", "done", "owed"):
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.site_id = own_id(self.root / "site-id")
        self.site = site_beside(self.root / "site.json", run)
        files.write_durably(str(self.root / "attempt.sh"), script_path().read_text(), mode=0o700)
        self._nodes = SiteNodes(
            self.root,
            self.site,
            self._client,
            self.site_id,
            grace_s,
            self._places,
            monotone_s,
            expected,
        )
        self._queue, self._looked_at_s = Queue(), -queue_s
        self._rests_until_s, self._asked = 0.0, 0
        self._open: dict[tuple[str, int], SlurmAttempt] = {}
        for job, attempt in open_intents(self.root):
            self._open[job, attempt] = SlurmAttempt(self._places(job, attempt), now_s=now_s)

    # --- the port --------------------------------------------------------------------------

    def start(self, order: StartOrder) -> None:
        """Start an attempt unless it was started before; durable before Slurm hears of it.

        Raises:
            DriverError: if the order cannot be carried out here, or an earlier attempt of the job
                has not ended; nothing was started then.
        """
        places, key = self._places(order.job, order.attempt), (order.job, order.attempt)
        with self._lock:
            known = self._open.get(key)
            if known is not None and not known.argv:
                log.warning("job %s: its torn order is written anew", order.job)
            elif known is not None or places.of_attempt("lock").exists():
                return
            submission = plan_submission(
                order, places, self.site, site_id=self.site_id, grace_s=self._grace_s
            )
            for job, attempt in self._open:
                is_other = job == order.job and attempt != order.attempt
                if is_other and self._open[job, attempt].receipt is None:
                    raise DriverError(
                        f"job {job}: attempt {attempt} has not ended, so attempt {order.attempt} "
                        "is not started. Stop it, wait for its receipt, then order again."
                    )
            try:
                SlurmAttempt.write_intent(places, submission)
            except OSError as wrong:
                raise DriverError(
                    f"job {order.job}: its order cannot be written ({wrong}); free the disk."
                ) from wrong
            if known is not None:
                known.read_intent()
                return
            # What an engine before us left there would be known by its mark; nobody else's is ours.
            is_new = self._queue.number > 0 and submission.mark not in self._queue.by_mark
            self._open[key] = SlurmAttempt(places, now_s=self._now_s, is_new=is_new)

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        """Tell an attempt that it must leave by ``stop_by_s``; no effect on one that has ended."""
        with self._lock:
            found = self._open.get((job, attempt))
            if found is not None and found.receipt is None and found.stop_by_s != stop_by_s:
                found.write_notice(stop_by_s)
                self._tell_the_noticed([found])

    def stop(self, job: str, attempt: int) -> None:
        """Begin to stop an attempt; ``observe`` ends it by force once its grace is over."""
        with self._lock:
            found = self._open.get((job, attempt))
            if found is not None and not found.is_asked_to_stop:
                found.ask_to_stop()

    def observe(self) -> Sequence[Receipt]:
        """Move every attempt on; return the ends not acknowledged yet, sorted by job, attempt."""
        with self._lock:
            self._take_ends()
            self._look_at_the_queue()
            if self._monotone_s() >= self._rests_until_s:
                self._submit()
                self._release(self._held())
            self._stop_who_must()
            self._nodes.see_to_them()
            receipts = [self._open[key].receipt for key in sorted(self._open)]
            return [receipt for receipt in receipts if receipt is not None]

    def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Forget ends that the ledger holds. Their files stay; their intents and keys go."""
        with self._lock:
            for receipt in receipts:
                found = self._open.get((receipt.job, receipt.attempt))
                if found is None or found.receipt is None:
                    continue
                places = found.places
                if places.done.exists():
                    places.done.rename(places.of_attempt("exit"))
                gate.close(places.gate_dir)
                files.remove(str(places.intent))
                del self._open[found.key]
            if receipts:
                files.sync_folder(str(self.root / "open"))

    def running(self) -> Sequence[tuple[str, int]]:
        """Return (job, attempt) of what was started and has no receipt yet, sorted."""
        with self._lock:
            return sorted(key for key, found in self._open.items() if found.receipt is None)

    def clean(self, job: str, attempt: int) -> Mapping[str, object]:
        """Return the evidence of every node of an ended attempt.

        A node that has given none is kept closed until it has, or is drained at Slurm.

        Raises:
            DriverError: if the attempt has not ended.
        """
        with self._lock:
            found = self._open.get((job, attempt))
            if found is not None and found.receipt is None:
                raise DriverError(f"job {job}: attempt {attempt} runs; stop it before cleaning.")
            owner = found or SlurmAttempt(self._places(job, attempt), now_s=self._now_s)
            evidence = {} if owner.never_began else dict(owner.cleaned())
            lacking = [] if owner.never_began else owner.nodes
            dirty = [node for node in lacking if not evidence.get(node, {}).get("is_clean")]
            is_known = owner.never_began or bool(lacking)
            if dirty:
                self._nodes.owe(owner.places, owner.mark, dirty)
            return {
                "job": job,
                "attempt": attempt,
                "at_s": self._now_s(),
                "nodes": evidence,
                "is_clean": is_known and not dirty,
                "withheld": dirty,
            }

    def nodes(self) -> Sequence[NodeReport]:
        """Return what Slurm, and what is owed to nodes, make of each; nothing before it spoke."""
        with self._lock:
            return self._nodes.reports()

    def output(
        self, job: str, attempt: int, *, stream: str = "out", from_byte: int = 0
    ) -> tuple[bytes, int]:
        """Read what an attempt has printed so far; see ``ends.printed``."""
        return printed(self._places(job, attempt), stream=stream, from_byte=from_byte)

    # --- what observe does, in its order ---------------------------------------------------

    def _take_ends(self) -> None:
        for path in (self.root / "done").iterdir():
            job, _, attempt = path.name.partition("~")
            found = self._open.get((job, int(attempt) if attempt.isdecimal() else 0))
            if found is not None:
                found.look_for_end()

    def _look_at_the_queue(self) -> None:
        """Look now and then: adopt what is there, explain what is not, cancel twins."""
        now_s = self._monotone_s()
        if now_s < self._looked_at_s + self._queue_s:
            return
        self._looked_at_s = now_s
        queue = self._client.queue(self._queue.number + 1)
        if queue is None:
            return
        self._queue, self._asked = queue, 0
        for found in self._unended():
            if found.slurm_id is None:
                found.adopt(queue)
            elif found.slurm_id in queue.jobs:
                job = queue.jobs[found.slurm_id]
                found.is_released = not job.is_held
                if job.is_over or (job.is_requeued and found.has_begun):
                    self._see_to_the_end(found)
            else:
                self._see_to_the_end(found)
        self._cancel_twins(queue)
        self._tell_the_noticed(self._unended())

    def _see_to_the_end(self, found: SlurmAttempt) -> None:
        found.look_for_end()
        if found.receipt is not None or found.slurm_id is None:
            return
        job = self._queue.jobs.get(found.slurm_id)
        if job is None:
            # A list may be cut short; the job's own record is not. Few are asked for at a time.
            self._asked += 1
            if self._asked > ASKED_MAX:
                return
            is_known, job = self._client.job(found.slurm_id)
            if not is_known or (job is not None and not job.is_over):
                return
        found.explain(job, self._queue)
        if job is not None and job.is_requeued:
            # It has begun once, so it would find its lock and go; until then it is in the way.
            self._client.cancel([job.id])

    def _cancel_twins(self, queue: Queue) -> None:
        """Cancel the held jobs of ours that nobody will release."""
        held = [
            (job.id, key_of(self.site_id, job.mark)) for job in queue.jobs.values() if job.is_held
        ]
        twins = [one for one, key in held if key is not None and not self._is_awaited(one, key)]
        for some in _parts(twins):
            self._client.cancel(some)

    def _is_awaited(self, slurm_id: int, key: tuple[str, int]) -> bool:
        """Tell from the files alone, since another driver may be at work beside us."""
        places = self._places(*key)
        recorded = recorded_id(places)
        if "kind" in (written_at(places.of_attempt("lock")) or {}):
            return False
        return recorded == slurm_id or (recorded is None and places.intent.exists())

    def _submit(self) -> None:
        wanted = [
            found
            for found in self._unended()
            if found.slurm_id is None and found.is_sure and not found.is_asked_to_stop
        ][:SUBMITS_MAX]
        wanted = self._durable([found for found in wanted if self._is_laid_out(found)])
        twins = []
        for found, answer in zip(wanted, self._client.submit(wanted), strict=True):
            if answer.slurm_id is not None:
                if not found.record(answer.slurm_id):
                    twins.append(answer.slurm_id)
            elif answer.kind is SubmitAnswer.Kind.REFUSED:
                found.is_refused(answer.words)
                self._rest()
            elif answer.kind is SubmitAnswer.Kind.UNKNOWN:
                # It may be there, or come yet; being held, it cannot run.
                found.is_sure, found.unsure_since = False, self._queue.number
                self._rest()
        if twins:
            self._client.cancel(twins)

    def _is_laid_out(self, found: SlurmAttempt) -> bool:
        if not found.argv:
            # Torn; the ledger holds the order as well, and the engine gives it again.
            return False
        try:
            found.lay_out()
        except OSError as wrong:
            # A full disk may be freed by somebody; the others go on.
            log.warning("job %s, attempt %d cannot be laid out: %s", *found.key, wrong)
            return False
        return found.receipt is None

    def _durable(self, wanted: Sequence[SlurmAttempt]) -> list[SlurmAttempt]:
        """Sync intents side by side, since a disk writes many at the price of a few; return those
        that stand: another driver may have brought an attempt to its end meanwhile.
        """
        if not wanted:
            return []
        with ThreadPoolExecutor(SYNCS_AT_ONCE) as threads:
            stands = list(threads.map(files.sync, [str(one.places.intent) for one in wanted]))
        files.sync_folder(str(self.root / "open"))
        for found, is_there in zip(wanted, stands, strict=True):
            if not is_there:
                found.look_for_end()
        return [found for found, is_there in zip(wanted, stands, strict=True) if is_there]

    def _held(self) -> list[SlurmAttempt]:
        return [
            found
            for found in self._unended()
            if found.slurm_id is not None and not found.is_released and not found.is_asked_to_stop
        ]

    def _release(self, held: Sequence[SlurmAttempt]) -> None:
        for some in _parts(held):
            self._client.release([found.slurm_id for found in some if found.slurm_id is not None])
            for found in some:
                # The next look tells who is held all the same.
                found.is_released = True

    def _stop_who_must(self) -> None:
        asked: list[int] = []
        forced: list[int] = []
        now_s = self._monotone_s()
        for found in self._unended():
            if not found.is_asked_to_stop:
                continue
            if not found.has_begun:
                found.settle_unbegun("stopped", "NeverStarted")
                if found.receipt is not None and found.slurm_id is not None:
                    forced.append(found.slurm_id)
            elif found.slurm_id is None:
                continue
            elif found.force_at_s is None or found.asked_again_at_s <= now_s:
                found.force_at_s = found.force_at_s or now_s + self._grace_s + FORCE_S
                found.asked_again_at_s = now_s + self._queue_s
                asked.append(found.slurm_id)
            if found.force_at_s is not None and now_s >= found.force_at_s:
                found.force_at_s = now_s + FORCE_S
                forced += [found.slurm_id] if found.slurm_id is not None else []
        for some in _parts(asked):
            self._client.signal(some, "TERM")
        for some in _parts(forced):
            self._client.cancel(some)

    def _tell_the_noticed(self, attempts: Iterable[SlurmAttempt]) -> None:
        told = [
            found.slurm_id
            for found in attempts
            if found.slurm_id is not None and found.is_noticed and found.has_begun
        ]
        for some in _parts(told):
            self._client.signal(some, "USR1")

    # --- small things ----------------------------------------------------------------------

    def _unended(self) -> list[SlurmAttempt]:
        return [found for _, found in sorted(self._open.items()) if found.receipt is None]

    def _rest(self) -> None:
        self._rests_until_s = self._monotone_s() + REST_S
        # What is unknown is known after the next look.
        self._looked_at_s = self._monotone_s() - self._queue_s

    def _places(self, job: str, attempt: int) -> Places:
        return Places(self.root, job, attempt)


def _parts(many: Sequence["SlurmAttempt"] | Sequence[int]) -> Iterable[list]:  # type: ignore[type-arg]
    return (list(many[first : first + IDS_MAX]) for first in range(0, len(many), IDS_MAX))
