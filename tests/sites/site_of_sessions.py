"""A centre that agents reach over HTTP, and a site's agent whose sessions are called for."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import httpx

from dure.cli.server import Door, serving_agents
from dure.cli.up import _listening
from dure.core.orders import StartOrder
from dure.core.sealing import BY_AGENT, key_bytes, seal
from dure.core.site_words import line_words
from dure.drivers.centre import HttpCentre
from dure.drivers.remote.driver import pool_name
from dure.drivers.site_lines import Reach, SiteLines
from dure.services.ports import Driver
from tests.sites.line import SITE, AgentSide, CentreSide, node_named

SLOTS = 4
OTHER = "busan"
REST_S = 0.02


class SiteOfSessions:
    """A centre and the agent of one of its two sites, which takes its turns in a thread.

    Args:
        driver: the site's own backend, ``node`` one of its nodes.
        reach: the way to the sessions there.
        fetch_s: so long a line is waited for.
    """

    def __init__(
        self, root: Path, driver: Driver, reach: Reach, *, node: str = "n1", fetch_s: float = 10.0
    ) -> None:
        self._root, self._driver, self._reach, self._node = root, driver, reach, node
        self.centre = CentreSide(root / "centre", {node: SLOTS}, sites=(SITE, OTHER))
        self.lines = self.centre.gate.lines
        self.lines._fetch_s = fetch_s
        self._open = ExitStack()
        listener = self._open.enter_context(_listening("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._open.enter_context(serving_agents(self.centre.sites, Door(), listener))
        self.centre.driver.observe()
        self.centre.driver.observe()
        self._cut: Callable[[], None] = lambda: None
        self.begin()

    def begin(self) -> None:
        """Let an agent speak for the site, as after a start."""
        http = HttpCentre((self.url,), SITE, key_bytes(self.centre.key), root=self._root / "site")
        opener = SiteLines(self._reach, http)
        nodes = [node_named(self._node, SLOTS)]
        side = AgentSide(self._root / "site", http, lambda: self._driver, nodes, opener=opener)
        stop = Event()

        def turns() -> None:
            while not stop.wait(REST_S):
                side.agent.turn()

        thread = Thread(target=turns, daemon=True)
        thread.start()

        def cut() -> None:
            stop.set()
            thread.join()
            opener.close()
            http.close()
            side.spool.close()

        self._cut = cut

    def start(self, order: StartOrder) -> None:
        """Order a session from the site."""
        placed = replace(order, devices=((pool_name(SITE, self._node), 0),))
        self.centre.driver.start(placed)

    def cut(self) -> None:
        """End the agent; what runs at the site runs on."""
        self._cut()
        self._cut = lambda: None

    def fetch(self, token: str, *, site: str = SITE, seal_of: str = "") -> httpx.Response:
        """Come for a line as an agent would, with the seal of one site at the path of another."""
        key = key_bytes(self.centre.keys[seal_of or site])
        own = seal(key, by=BY_AGENT, site=site, body=line_words(token))
        return httpx.post(
            f"{self.url}/api/v1/sites/{site}/line",
            content=b"-",
            headers={"dure-seal": own, "dure-line": token},
            trust_env=False,
        )

    def close(self) -> None:
        """End the agent, then the centre."""
        self.cut()
        self._open.close()
