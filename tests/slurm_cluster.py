"""A real Slurm on loopback: a controller and as many node daemons as asked for, Debian's build.

GPUs are faked as character devices, hardware by configuration; everything else is real. By hand:
``python -m tests.slurm_cluster up 16 DIR`` and ``... down DIR``; ``DIR/slurm.conf`` is its
``SLURM_CONF``.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

GPUS = 8
CPUS = 32
MEMORY_MIB = 256_000
LEAF_NODES = 4
START_S_MAX = 30
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "openssl")
# Where the ports of outgoing connections begin.
PORTS_FROM, PORTS_TO = 12_000, 31_000
# What a site with walls between its machines opens for srun.
SRUN_PORTS = (31_000, 32_700)

CONF = """\
ClusterName=dure
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={run}/munge.sock
CredType=cred/munge
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool/%n
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.%n.pid
SlurmctldLogFile={dir}/log/slurmctld.log
SlurmdLogFile={dir}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
PlugStackConfig=/dev/null
SrunPortRange={srun_from}-{srun_to}
SlurmdParameters=config_overrides
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
TopologyPlugin=topology/tree
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,bf_continue,batch_sched_delay={batch_delay_s}
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=1
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=3
TCPTimeout=2
MessageTimeout=20
BatchStartTimeout=10
InactiveLimit=0
MinJobAge={min_job_age_s}
MaxJobCount=100000
TreeWidth=65533
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={dir}/log/accounting
"""


def can_start() -> bool:
    """Tell whether this machine has what a cluster needs."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in NEEDED)


class SlurmCluster:
    """A cluster in a folder; ``stop`` leaves nothing running.

    Args:
        folder: its own; a short path, since a socket lies in it.
        nodes: how many, named ``alpha-0001`` and on.
        accelerator: what their GPUs are.
        min_job_age_s: how long ended jobs stay listed.
        batch_delay_s: how long Slurm may put off looking at a batch job that was just released.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int,
        accelerator: str = "b200",
        min_job_age_s: int = 300,
        batch_delay_s: int = 0,
    ) -> None:
        self.folder, self.conf = folder, folder / "slurm.conf"
        self.names = [f"alpha-{number:04d}" for number in range(1, nodes + 1)]
        self._accelerator, self._min_job_age_s = accelerator, min_job_age_s
        self._batch_delay_s = batch_delay_s
        self._run = folder / "run"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._known = folder / "run" / "daemons.json"

    @property
    def environment(self) -> dict[str, str]:
        """Return what a client of this cluster needs in its environment."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Start everything and wait until every node is idle."""
        for name in ("run", "log", "state", "spool", "dev"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._run.chmod(0o755)
        self._write_files()
        try:
            self._munge()
            self.start_controller()
            for name in self.names:
                self.start_node(name)
            self._until(lambda: len(self._idle()) == len(self.names), "nodes to be idle")
        except BaseException:
            self.stop()
            raise

    def start_controller(self) -> None:
        self._spawn("slurmctld", ["slurmctld", "-D"])
        self._until(lambda: "is UP" in self.ask("scontrol", "ping"), "the controller")

    def kill_controller(self) -> None:
        self._kill("slurmctld")

    def start_node(self, name: str) -> None:
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        self._spawn(name, ["slurmd", "-D", "-N", name])

    def kill_node(self, name: str) -> None:
        """kill -9 of a node's daemon; its jobs' processes stay, as on a node that is cut off."""
        self._kill(name)

    def ask(self, *argv: str) -> str:
        """Return what a command of Slurm prints, errors included."""
        done = subprocess.run(
            argv,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.stdout

    def stop(self) -> None:
        """End jobs, then daemons, munge last; by identity, so that no stranger is hit."""
        if "slurmctld" in self._daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.ask("scancel", "--full", "--signal=KILL", "--user=root")
        munge = self._daemons.pop("munged", None)
        for daemon in self._daemons.values():
            daemon.terminate()
        for daemon in [*self._daemons.values(), *([munge] if munge else [])]:
            self._end(daemon)
        self._daemons.clear()
        for pid in self._strays():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._known.unlink(missing_ok=True)

    # --- files -----------------------------------------------------------------------------

    def _write_files(self) -> None:
        base = _free_ports(len(self.names) + 1)
        kind, devices = self._accelerator, self.folder / "dev"
        for number in range(GPUS):
            device = devices / f"gpu{number}"
            if not device.exists():
                # Only a device node makes Slurm number GPUs; this one is a /dev/null.
                os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        lines = [
            CONF.format(
                port=base,
                run=self._run,
                dir=self.folder,
                min_job_age_s=self._min_job_age_s,
                batch_delay_s=self._batch_delay_s,
                srun_from=SRUN_PORTS[0],
                srun_to=SRUN_PORTS[1],
            )
        ]
        lines += [
            f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname=localhost Port={base + place} "
            f"CPUs={CPUS} Boards=1 SocketsPerBoard=2 CoresPerSocket={CPUS // 2} ThreadsPerCore=1 "
            f"RealMemory={MEMORY_MIB} Gres=gpu:{kind}:{GPUS}"
            for place, name in enumerate(self.names, start=1)
        ]
        every = ",".join(self.names)
        lines.append(
            f"PartitionName=alpha Nodes={every} PriorityTier=10 PreemptMode=OFF "
            "MaxTime=7-00:00:00 DefaultTime=01:00:00 State=UP"
        )
        lines.append(f"PartitionName=all Nodes={every} Default=YES PriorityTier=1 State=UP")
        self.conf.write_text("\n".join(lines) + "\n")
        (self.folder / "gres.conf").write_text(
            f"NodeName={every} Name=gpu Type={kind} File={devices}/gpu[0-{GPUS - 1}]\n"
        )
        leaves = [
            self.names[start : start + LEAF_NODES]
            for start in range(0, len(self.names), LEAF_NODES)
        ]
        topology = [
            f"SwitchName=leaf{number} Nodes={','.join(names)}"
            for number, names in enumerate(leaves)
        ]
        topology.append(f"SwitchName=spine Switches=leaf[0-{len(leaves) - 1}]")
        (self.folder / "topology.conf").write_text("\n".join(topology) + "\n")
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")

    # --- daemons ---------------------------------------------------------------------------

    def _munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        run = self._run
        own = [f"--pid-file={run}/munged.pid", f"--log-file={self.folder}/log/munged.log"]
        own += [f"--socket={run}/munge.sock", f"--seed-file={run}/munged.seed"]
        self._spawn("munged", ["munged", "--foreground", "--force", f"--key-file={key}", *own])
        self._until((run / "munge.sock").exists, "munge")

    def _spawn(self, name: str, argv: Sequence[str]) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        pids = {one: daemon.pid for one, daemon in self._daemons.items()}
        self._known.write_text(json.dumps(pids))

    def _kill(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    @staticmethod
    def _end(daemon: "subprocess.Popen[bytes]") -> None:
        daemon.terminate()
        try:
            daemon.wait(8)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _strays(self) -> list[int]:
        """Return steps and scripts of this cluster that outlived their daemon."""
        mark, found = f"SLURM_CONF={self.conf}".encode(), []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                is_ours = mark in (entry / "environ").read_bytes().split(b"\0")
                if is_ours and (entry / "comm").read_text().startswith(("slurm", "munged")):
                    found.append(int(entry.name))
        return found

    def _idle(self) -> list[str]:
        return self.ask("sinfo", "-h", "-N", "-p", "alpha", "-t", "idle", "-o", "%N").split()

    def _until(self, look: Callable[[], object], what: str) -> None:
        deadline_s = time.monotonic() + START_S_MAX
        while not look():
            dead = [name for name, one in self._daemons.items() if one.poll() is not None]
            late = time.monotonic() > deadline_s
            assert not dead and not late, f"waiting for {what}: {dead or 'late'} in {self.folder}"
            time.sleep(0.05)


def _free_ports(count: int) -> int:
    """Return the first of ``count`` free ports of loopback in a row."""
    base = PORTS_FROM + secrets.randbelow(PORTS_TO - PORTS_FROM - count)
    while base + count < PORTS_TO:
        taken = next((port for port in range(base, base + count) if not _is_free(port)), None)
        if taken is None:
            return base
        base = taken + 1
    raise OSError("no run of free ports on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main(arguments: Sequence[str]) -> None:
    """``up N DIR`` or ``down DIR``, by hand."""
    match arguments:
        case ["up", count, folder]:
            cluster = SlurmCluster(Path(folder).resolve(), nodes=int(count))
            cluster.start()
            print(f"export SLURM_CONF={cluster.conf}")
        case ["down", folder]:
            known = Path(folder).resolve() / "run" / "daemons.json"
            pids = json.loads(known.read_text())
            for name in sorted(pids, key=lambda one: one == "munged"):
                comm = Path(f"/proc/{pids[name]}/comm")
                if comm.exists() and comm.read_text().startswith(("slurm", "munge")):
                    os.kill(pids[name], signal.SIGTERM)
            known.unlink()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
