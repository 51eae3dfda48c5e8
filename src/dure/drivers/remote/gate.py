"""Where agents come in: what is known of each site's agent, and the driver that leads now."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock

import msgspec

from dure.core.pool import GPUS_PER_NODE_MAX
from dure.core.site_words import Answer, Push, PushRefusal, SiteNode
from dure.drivers import files
from dure.drivers.remote.driver import RemoteDriver
from dure.drivers.remote.lines import CalledLines, FetchedLine

log = logging.getLogger("dure.sites")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
COUNT_MAX = 1 << 40


class _Met(msgspec.Struct):
    """Which agent speaks for a site, under which of its keys, and what the site has."""

    agent: str = ""
    serial: int = 0
    nodes: list[SiteNode] = []


class SiteGate:
    """Passes what agents say to the driver of whoever leads; before, it learns what sites have.

    Args:
        folder: ``ROOT/sites``.
        leads: whether this process leads the pool, as far as others may take the lead from it.

    Attributes:
        lines: the ways to sessions that sites run.
    """

    def __init__(self, folder: Path, *, leads: Callable[[], bool] = lambda: True) -> None:
        self._folder, self._leads = folder, leads
        self._lock = RLock()
        self._met: dict[str, _Met] = {}
        self._driver: RemoteDriver | None = None
        self.lines = CalledLines(self._site_of)

    @property
    def driver(self) -> RemoteDriver | None:
        """Return the driver while this process leads the pool."""
        return self._driver if self._leads() else None

    def is_open(self) -> bool:
        """Tell whether this process leads the pool, so that agents speak to it."""
        return self.driver is not None

    def let_through_to(self, driver: RemoteDriver) -> None:
        """Agents speak to this driver from now on."""
        self._driver = driver

    def exchange(self, site: str, serial: int, push: Push) -> Answer | PushRefusal:
        """Take what an agent says that has the site's key of this serial number.

        One agent speaks for a site under one key: a second, with a copy of the key, is refused. A
        new key is for whoever comes with it first.
        """
        with self._lock:
            met, driver = self._of(site), self.driver
            if met.agent != push.agent:
                if met.agent and met.serial == serial:
                    return PushRefusal.OTHER_AGENT
                log.warning("site %s: agent %s speaks for it now", site, push.agent)
                met.agent, met.serial = push.agent, serial
                self._keep(site, met)
                if driver is not None:
                    driver.meet_agent(site)
            elif met.serial != serial:
                met.serial = serial
                self._keep(site, met)
            if push.inventory is not None:
                nodes = [one for one in push.inventory if _is_sound(site, one)]
                if nodes != met.nodes:
                    met.nodes = nodes
                    self._keep(site, met)
        answer = PushRefusal.NOT_LEADING if driver is None else driver.exchange(site, push)
        if isinstance(answer, PushRefusal) or answer.generation != push.generation:
            return answer
        return msgspec.structs.replace(answer, calls=self.lines.calls(site))

    def fetch(self, site: str, token: str) -> FetchedLine | None:
        """Give a site's agent the line that was called for by this token, once."""
        return self.lines.fetch(site, token) if self.is_open() else None

    def end_lines(self) -> None:
        self.lines.end()

    def inventory(self, site: str) -> Sequence[SiteNode] | None:
        """Return what a site said that it has, None if it never spoke."""
        with self._lock:
            return self._of(site).nodes or None

    def heard_at_s(self, site: str) -> int | None:
        """Return when a site was last heard, as far as this process knows."""
        driver = self.driver
        return None if driver is None else driver.heard_at_s(site)

    def is_out_of_reach(self, site: str) -> bool:
        driver = self.driver
        return driver is not None and driver.is_out_of_reach(site)

    def archive(self, site: str, workdir: str) -> bytes | None:
        """Return a work folder that an order of this site names, None for any other."""
        driver = self.driver
        return None if driver is None else driver.archive(site, workdir)

    def next_generation(self) -> int:
        """Return a number higher than ever before from this folder; durable."""
        path = str(self._folder / "generation")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = (files.text_at(path) or "").strip()
        number = 1 + (int(text) if text.isdecimal() else 0)
        files.write_durably(path, f"{number}\n")
        return number

    def _site_of(self, job: str, attempt: int) -> str:
        driver = self.driver
        return "" if driver is None else driver.site_of(job, attempt)

    def _of(self, site: str) -> _Met:
        if site not in self._met:
            text = files.text_at(str(self._folder / site / "agent.json"), bytes_max=1 << 26)
            try:
                self._met[site] = msgspec.json.decode(text, type=_Met) if text else _Met()
            except msgspec.MsgspecError as wrong:
                log.error("what is known of site %s is damaged: %s", site, wrong)
                self._met[site] = _Met()
        return self._met[site]

    def _keep(self, site: str, met: _Met) -> None:
        folder = self._folder / site
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_durably(str(folder / "agent.json"), msgspec.json.encode(met).decode())


def _is_sound(site: str, node: SiteNode) -> bool:
    """Tell whether a node can stand in a pool; one that cannot is set aside."""
    names = (node.node, node.cluster, node.leaf, node.pod, node.accelerator)
    fine = all(NAME.fullmatch(name) for name in names) and 1 <= node.gpus <= GPUS_PER_NODE_MAX
    if not fine or not 0 <= node.cpu_milli < COUNT_MAX or not 0 <= node.memory_mib < COUNT_MAX:
        log.error("site %s: set aside: node %r", site, node.node[:80])
        return False
    return True
