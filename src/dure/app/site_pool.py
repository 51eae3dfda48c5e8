"""The pool of sites with agents, assembled: who is enrolled, what they have, the driver's gate."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dure.app.leading import Claim
from dure.app.settings import HERE, Settings
from dure.core.errors import DriverError, InputError
from dure.core.pool import Pool
from dure.core.site_words import SiteNode
from dure.drivers import files
from dure.drivers.remote.driver import RemoteDriver, pool_name
from dure.drivers.remote.gate import SiteGate
from dure.drivers.remote.meter import RemoteMeter
from dure.services.enrolments import Enrolments
from dure.services.sites import Sites

Awaiting = Callable[[Sites], None]


def site_secret(data: Path) -> bytes:
    """Return what the keys of sites are derived from; made at the first asking.

    Raises:
        DriverError: if it is damaged: every site would have to be enrolled anew.
    """
    folder = data / "people"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "site-secret"
    files.create_exclusively(str(path), secrets.token_hex(32) + "\n")
    text = (files.text_at(str(path)) or "").strip()
    if len(text) != 64:
        raise DriverError(f"{path} is damaged; bring it back from a copy, or enrol sites anew.")
    return bytes.fromhex(text)


class AgentSites:
    """What the pool ``here`` needs where its sites have agents.

    Args:
        claim: to lead the pool, where several engines may.
    """

    def __init__(self, settings: Settings, enrolments: Enrolments, claim: Claim | None) -> None:
        self._enrolments, self._claim, self._reach_s = enrolments, claim, settings.reach_s
        self._root = settings.data / HERE
        self._gate = SiteGate(
            self._root / "sites",
            leads=lambda: settings.plans and (claim is None or claim.is_held()),
        )
        # Agents speak to whoever leads, so the door must be of that process.
        self.lines = self._gate.lines if settings.plans else None
        self.desk = Sites(enrolments, self._gate)
        self.meter = RemoteMeter()

    def pool(self) -> Pool:
        """Return what all sites have, for a ledger that is founded now.

        Raises:
            InputError: if no site is enrolled.
            DriverError: if a site's agent has not said yet what it has.
        """
        enrolled = [one for one in self._enrolments.sites() if not one.is_revoked]
        if not enrolled:
            raise InputError(
                "--backend agents",
                found="no site",
                expected="one or more",
                next_step="dure site enrol NAME --data DIR prints the key for its agent.",
            )
        rows = []
        for one in enrolled:
            nodes = self._gate.inventory(one.site)
            if nodes is None:
                raise DriverError(f"the agent of {one.site} has not said yet what it has.")
            rows += [(one.site, one.provider, node) for node in nodes]
        # Sites chose their names alone.
        return _pool_of(rows, pool_name)

    def open(self, pool: Pool, now_s: Callable[[], int]) -> RemoteDriver:
        """Make the driver of whoever leads the pool, and let agents in to it."""
        generation = self._claim.generation() if self._claim else self._gate.next_generation()
        expected: dict[str, dict[str, int]] = {}
        for site, node, gpus in zip(pool.site, pool.node, pool.gpus.tolist(), strict=True):
            expected.setdefault(site, {})[node.removeprefix(pool_name(site, ""))] = gpus
        if unknown := sorted(site for site in expected if self._enrolments.site(site) is None):
            raise InputError(
                f"{self._root}",
                found=f"a pool of other machines ({unknown[0]})",
                expected="the sites that it was founded with",
                next_step="Look at --backend, or choose another --data.",
            )
        driver = RemoteDriver(
            self._root,
            expected,
            generation=generation,
            now_s=now_s,
            inventory=self._gate.inventory,
            reach_s=self._reach_s,
            hear=self.meter.take,
        )
        self._gate.let_through_to(driver)
        return driver


def _pool_of(rows: Sequence[tuple[str, str, SiteNode]], name: Callable[[str, str], str]) -> Pool:
    """Return a pool of (site, provider, node), with what it calls a site's node or cluster."""

    def counts(of: Callable[[SiteNode], int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array([of(node) for _, _, node in rows], dtype=np.int64)

    return Pool(
        node=[name(site, node.node) for site, _, node in rows],
        provider=[provider for _, provider, _ in rows],
        cluster=[name(site, node.cluster) for site, _, node in rows],
        leaf=[node.leaf for _, _, node in rows],
        pod=[node.pod for _, _, node in rows],
        site=[site for site, _, _ in rows],
        accelerator=[node.accelerator for _, _, node in rows],
        gpus=counts(lambda node: node.gpus),
        cpu_milli=counts(lambda node: node.cpu_milli),
        memory_mib=counts(lambda node: node.memory_mib),
        grade=["C"] * len(rows),
        use=["public"] * len(rows),
        in_service_at_s=np.zeros(len(rows), dtype=np.int64),
    )


def site_nodes(pool: Pool) -> list[SiteNode]:
    """Return a backend's own pool as its agent tells it."""
    return [
        SiteNode(
            node=pool.node[at],
            cluster=pool.cluster[at],
            leaf=pool.leaf[at],
            pod=pool.pod[at],
            accelerator=pool.accelerator[at],
            gpus=int(pool.gpus[at]),
            cpu_milli=int(pool.cpu_milli[at]),
            memory_mib=int(pool.memory_mib[at]),
        )
        for at in range(len(pool.node))
    ]


def own_pool(nodes: Sequence[SiteNode]) -> Pool:
    """Return the pool of a backend from what its agent told at its first start."""
    return _pool_of([(HERE, HERE, node) for node in nodes], lambda _, name: name)
