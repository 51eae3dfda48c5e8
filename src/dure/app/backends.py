"""The backends that the pool ``here`` can have: this machine, a Slurm site, sites with agents."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dure.app.settings import AGENTS, HERE, SLURM, Settings
from dure.app.site_pool import AgentSites
from dure.core.errors import InputError
from dure.core.pool import GPUS_PER_NODE_MAX, Pool
from dure.drivers.interactive.gate import GatedLines
from dure.drivers.interactive.lines import LocalLines
from dure.drivers.local import LocalDriver
from dure.drivers.machine import SLOT, MachineNode, this_machine
from dure.drivers.sampler import NoMeter, Sampler
from dure.drivers.slurm.commands import SlurmCommands
from dure.drivers.slurm.driver import SlurmDriver
from dure.drivers.slurm.site import Site
from dure.services.ports import Driver, Lines, Meter
from dure.services.views import Name

log = logging.getLogger("dure.here")

THIS_MACHINE = Name("이 컴퓨터", "This machine")
SLURM_SITE = Name("Slurm 사이트", "Slurm site")
SITES = Name("에이전트가 있는 데이터센터", "Sites with agents")


@dataclass(frozen=True, slots=True)
class Backend:
    """What runs the pool ``here``.

    Attributes:
        open: makes the driver, for whoever leads the pool; raises DriverError or InputError.
        pool: what it has, for a ledger that is founded now.
        meter: the built-in one.
        summary: its devices in a few words; ``note``: what a person should know, "" if nothing.
        start_s: what a start takes after a reclaim.
        runs_here: its jobs lie in this data directory, so that only who has it may lead.
        lines: the ways to its interactive sessions; None where nobody reaches them.
    """

    open: Callable[[], Driver]
    pool: Pool
    meter: Meter
    title: Name
    summary: str
    note: str = ""
    start_s: int = 1
    runs_here: bool = True
    lines: Lines | None = None


def backend_of(
    settings: Settings,
    pool: Pool | None,
    now_s: Callable[[], int],
    *,
    agents: AgentSites | None = None,
) -> Backend:
    """Return the backend that the settings name.

    Args:
        pool: what the ledger was founded with, None for a new one.
        agents: the sites with agents, where those are the backend.

    Raises:
        InputError: if it is not the one that the ledger was founded with.
        DriverError: if it cannot say what it has.
    """
    root = settings.data / HERE
    if settings.backend == AGENTS:
        assert agents is not None, "whoever wants agents brings their sites"
        return _agents(agents, pool, now_s)
    return own_backend(
        settings.backend,
        root,
        pool,
        now_s,
        slots=settings.slots,
        # Another machine's count is the ledger's, not ours to hold against it.
        is_counted=settings.plans,
    )


def own_backend(
    kind: str,
    root: Path,
    pool: Pool | None,
    now_s: Callable[[], int],
    *,
    slots: int | None = None,
    is_counted: bool = True,
) -> Backend:
    """Return the backend ``local`` or ``slurm`` with its folder at ``root``.

    Args:
        pool: what it had at its first start, None for a new one.
        slots: count so many on this machine.
        is_counted: hold what this machine has against ``pool``.

    Raises:
        InputError, DriverError: as ``backend_of``.
    """
    if kind == SLURM:
        return _slurm(root, pool, now_s)
    machine = _machine(root, pool, slots, is_counted=is_counted)
    return Backend(
        open=lambda: LocalDriver(root, machine, now_s=now_s),
        pool=pool or pool_of_machine(machine),
        meter=Sampler(root, machine),
        title=THIS_MACHINE,
        summary=f"{machine.accelerator}(s), {machine.node}",
        note=machine.note,
        lines=LocalLines(root),
    )


def _agents(agents: AgentSites, pool: Pool | None, now_s: Callable[[], int]) -> Backend:
    has = pool or agents.pool()
    kinds, sites = ", ".join(sorted(set(has.accelerator))), ", ".join(sorted(set(has.site)))
    return Backend(
        open=lambda: agents.open(has, now_s),
        pool=has,
        meter=agents.meter,
        title=SITES,
        summary=f"{kinds}, {len(has.node)} nodes of {sites}",
        # Between an order and the first word of a job lie an asking of the agent and its backend.
        start_s=5,
        runs_here=False,
        lines=agents.lines,
    )


def _slurm(root: Path, pool: Pool | None, now_s: Callable[[], int]) -> Backend:
    expected = dict(zip(pool.node, pool.gpus.tolist(), strict=True)) if pool else {}

    def make() -> SlurmDriver:
        driver = SlurmDriver(root, SlurmCommands(), now_s=now_s, expected=expected)
        if expected:
            _require_same(expected, driver.site, root)
        return driver

    pool = pool or pool_of_site(make().site)
    return Backend(
        open=make,
        pool=pool,
        meter=NoMeter(),
        title=SLURM_SITE,
        summary=f"{', '.join(sorted(set(pool.accelerator)))}, {len(pool.node)} nodes of Slurm",
        # Between a release and the first word of a job lie a look of Slurm and a launch.
        start_s=5,
        lines=GatedLines(root),
    )


def _require_same(expected: Mapping[str, int], site: Site, root: Path) -> None:
    """Refuse another site than the ledger was founded with; tell of nodes that came later."""
    if not set(expected) & set(site.nodes):
        raise InputError(
            f"{root}",
            found=f"a pool of {len(expected)} other nodes ({next(iter(expected))}, ...)",
            expected="the Slurm site that it was founded with",
            next_step="Look at SLURM_CONF and --backend, or choose another --data.",
        )
    if new := sorted(set(site.nodes) - set(expected)):
        log.warning("%d nodes came later and are not used: %s, ...", len(new), new[0])


def pool_of_site(site: Site) -> Pool:
    """Return every node of a site; its partition is its provider."""
    nodes = [site.nodes[name] for name in sorted(site.nodes)]
    return Pool(
        node=[node.name for node in nodes],
        provider=[node.provider for node in nodes],
        cluster=[node.provider for node in nodes],
        leaf=[node.leaf for node in nodes],
        pod=[node.pod for node in nodes],
        site=[HERE] * len(nodes),
        accelerator=[node.accelerator for node in nodes],
        gpus=np.array([node.gpus for node in nodes], dtype=np.int64),
        cpu_milli=np.array([node.cpus * 1000 for node in nodes], dtype=np.int64),
        memory_mib=np.array([node.memory_mib for node in nodes], dtype=np.int64),
        grade=["C"] * len(nodes),
        use=["public"] * len(nodes),
        in_service_at_s=np.zeros(len(nodes), dtype=np.int64),
    )


def pool_of_machine(machine: MachineNode) -> Pool:
    """Return one node with all devices of this machine; it may hold data of any grade."""
    return Pool(
        node=[machine.node],
        provider=[machine.provider],
        cluster=[machine.cluster],
        leaf=[machine.leaf],
        pod=[machine.pod],
        site=[machine.site],
        accelerator=[machine.accelerator],
        gpus=np.array([machine.gpus], dtype=np.int64),
        cpu_milli=np.array([machine.cpu_milli], dtype=np.int64),
        memory_mib=np.array([machine.memory_mib], dtype=np.int64),
        grade=["C"],
        use=["public"],
        in_service_at_s=np.zeros(1, dtype=np.int64),
    )


def _machine(root: Path, pool: Pool | None, slots: int | None, *, is_counted: bool) -> MachineNode:
    """Count this machine, and hold the count against what the ledger was founded with."""
    if slots is not None and slots > GPUS_PER_NODE_MAX:
        raise InputError("--slots", found=str(slots), expected=f"1 to {GPUS_PER_NODE_MAX}")
    if pool is None:
        machine = this_machine(slots=slots)[0]
        return replace(machine, gpus=min(machine.gpus, GPUS_PER_NODE_MAX))
    kind, gpus = pool.accelerator[0], int(pool.gpus[0])
    if not is_counted:
        return MachineNode(pool.node[0], kind, gpus, 0, 0, has_gpus=kind != SLOT)
    # CPUs come and go with containers; slots that are only counted stay as they were counted.
    counted = gpus if kind == SLOT and slots is None else slots
    machine = this_machine(slots=counted)[0]
    found = (machine.node, machine.accelerator, min(machine.gpus, GPUS_PER_NODE_MAX))
    if found != (pool.node[0], kind, gpus):
        raise InputError(
            f"{root}",
            found=f"a pool of {gpus} {kind} on {pool.node[0]}, but this machine has "
            f"{machine.gpus} {machine.accelerator}",
            expected="the same machine, --backend and --slots as at its first start",
            next_step="Choose another --data for another machine.",
        )
    return replace(machine, gpus=gpus)
