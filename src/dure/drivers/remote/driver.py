"""The driver of a pool whose sites have agents: every order to the site of its nodes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_readings import Reading
from dure.core.site_words import SITE_OUT_OF_REACH, Answer, Push, PushRefusal, SiteNode
from dure.drivers.remote.desk import SiteDesk
from dure.drivers.remote.kept import at_site
from dure.drivers.workdirs import archive_of

log = logging.getLogger("dure.sites")

REACH_S = 30


def pool_name(site: str, name: str) -> str:
    """Return what the pool calls something that a site calls ``name``."""
    return f"{site}.{name}"


class RemoteDriver:
    """Starts, tells, stops and observes through the agents of sites.

    Args:
        root: folder of the pool; ``sites/SITE`` in it is a site's own.
        expected: devices by node, as the pool counts on them, by site and in the site's names.
        generation: of this engine; higher than that of any before.
        inventory: returns what a site last said that it has, by its own names; None if nothing.
        reach_s: a site not heard of for longer is out of reach.
        hear: takes what a site measured.
    """

    def __init__(
        self,
        root: Path,
        expected: Mapping[str, Mapping[str, int]],
        *,
        generation: int,
        now_s: Callable[[], int],
        inventory: Callable[[str], Sequence[SiteNode] | None] = lambda _: None,
        reach_s: int = REACH_S,
        hear: Callable[[str, Reading], None] = lambda site, reading: None,
    ) -> None:
        self.root, self.generation = root.resolve(), generation
        self._expected, self._inventory = expected, inventory
        self._desks = {
            site: SiteDesk(
                self.root,
                self.root / "sites" / site,
                generation=generation,
                reach_s=reach_s,
                now_s=now_s,
                hear=hear,
            )
            for site in sorted(expected)
        }
        self._places = {
            pool_name(site, node): (site, node)
            for site, nodes in expected.items()
            for node in nodes
        }

    # --- the port ----------------------------------------------------------------------------

    def start(self, order: StartOrder) -> None:
        """Order a start from the site of its nodes.

        Raises:
            DriverError: if no one site has all of the nodes, or it could not start it when it was
                last asked.
        """
        sites = {self._places.get(node, ("", ""))[0] for node, _ in order.devices}
        if len(sites) != 1 or "" in sites:
            raise DriverError(
                f"job {order.job}: its devices are of {len(sites)} sites ({sorted(sites)}); one "
                "site runs a gang. Ask for locality required:site."
            )
        names = {node: self._places[node][1] for node, _ in order.devices}
        self._desks[sites.pop()].start(at_site(order, names))

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        """Have an attempt told that it must leave by ``stop_by_s``."""
        if desk := self._desk_of(job, attempt):
            desk.notify(job, attempt, stop_by_s=stop_by_s)

    def stop(self, job: str, attempt: int) -> None:
        """Have an attempt stopped."""
        if desk := self._desk_of(job, attempt):
            desk.stop(job, attempt)

    def observe(self) -> Sequence[Receipt]:
        """Return the ends that came in and are not acknowledged, site by site."""
        return [receipt for desk in self._desks.values() for receipt in desk.observe()]

    def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Have the sites forget ends that the ledger holds."""
        for receipt in receipts:
            if desk := self._desk_of(receipt.job, receipt.attempt):
                desk.acknowledge(receipt.job, receipt.attempt)

    def clean(self, job: str, attempt: int) -> Mapping[str, object]:
        """Return what the site's agent found when it cleaned up.

        Raises:
            DriverError: if the attempt has not ended.
        """
        desk = self._desk_of(job, attempt)
        if desk is None:
            raise DriverError(f"job {job}: attempt {attempt} was ordered from no site.")
        found: dict[str, Any] = desk.clean(job, attempt)
        if withheld := found.get("withheld"):
            found["withheld"] = [pool_name(desk.site, str(node)) for node in withheld]
        return found

    def nodes(self) -> Sequence[NodeReport]:
        """Return what the agents say of their nodes; all are closed where a site is silent."""
        return [report for desk in self._desks.values() for report in self._reports(desk)]

    # --- for agents --------------------------------------------------------------------------

    def exchange(self, site: str, push: Push) -> Answer | PushRefusal:
        """Take what a site's agent says; a site that is not of this pool is not led here."""
        desk = self._desks.get(site)
        return PushRefusal.NOT_LEADING if desk is None else desk.exchange(push)

    def meet_agent(self, site: str) -> None:
        """Another agent speaks for a site from now on."""
        if desk := self._desks.get(site):
            desk.meet_agent()

    def archive(self, site: str, workdir: str) -> bytes | None:
        """Return a work folder that a standing order of this site names, None for any other."""
        desk = self._desks.get(site)
        if desk is None or not desk.wants(workdir):
            return None
        try:
            return archive_of(self.root, workdir).read_bytes()
        except FileNotFoundError:
            return None

    def site_of(self, job: str, attempt: int) -> str:
        """Return the site in reach that runs an attempt, "" if there is none."""
        desks = (desk for desk in self._desks.values() if desk.runs(job, attempt))
        return next((desk.site for desk in desks if not desk.is_out_of_reach()), "")

    def heard_at_s(self, site: str) -> int | None:
        """Return when a site was last heard, None for one that is not of this pool."""
        desk = self._desks.get(site)
        return None if desk is None else desk.heard_at_s

    def is_out_of_reach(self, site: str) -> bool:
        desk = self._desks.get(site)
        return desk is not None and desk.is_out_of_reach()

    # --- inside ------------------------------------------------------------------------------

    def _desk_of(self, job: str, attempt: int) -> SiteDesk | None:
        return next((desk for desk in self._desks.values() if desk.knows(job, attempt)), None)

    def _reports(self, desk: SiteDesk) -> list[NodeReport]:
        expected = self._expected[desk.site]
        if desk.is_out_of_reach():
            return [
                NodeReport(pool_name(desk.site, node), "closed", "health", SITE_OUT_OF_REACH)
                for node in sorted(expected)
            ]
        # Each is named: what was closed while the site was silent opens again.
        said = {node: NodeReport(pool_name(desk.site, node), "open") for node in expected}
        for report in desk.nodes():
            if report.node in expected:
                said[report.node] = replace(report, node=pool_name(desk.site, report.node))
        inventory = self._inventory(desk.site)
        has = None if inventory is None else {one.node: one.gpus for one in inventory}
        for node, gpus in expected.items():
            if has is not None and has.get(node, 0) < gpus:
                said[node] = NodeReport(
                    pool_name(desk.site, node), "closed", "provider", f"{has.get(node, 0)} devices"
                )
        return [said[node] for node in sorted(said)]
