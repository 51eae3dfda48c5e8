"""The two sides of the line, and machines that a test plays."""

from pathlib import Path

import msgspec

from dure.core.orders import Recipe, StartOrder
from dure.core.sealing import BY_AGENT, key_bytes, seal
from dure.core.site_words import (
    Push,
    encoded,
)
from dure.services.sites import Sealed
from tests.sites.line import SITE, AgentSide, CentreSide, Line, node_named
from tests.sites.machines import Machines

NODE = "n1"
IN_POOL = "seoul.n1"


def order(job: str) -> StartOrder:
    return StartOrder(f"here:{job}~1", job, 1, ((IN_POOL, 0),), 1000, Recipe(script="true"))


class Both:
    """The two sides, and machines that a test plays."""

    def __init__(self, folder: Path) -> None:
        self.centre = CentreSide(folder / "centre", {NODE: 4})
        self.line = Line(self.centre, self.centre.key)
        self.machines = Machines()
        self.site = AgentSide(
            folder / "site", self.line, lambda: self.machines, [node_named(NODE, 4)]
        )
        self.driver.observe()
        self.driver.observe()
        self.turn(2)

    @property
    def driver(self):  # type: ignore[no-untyped-def]
        return self.centre.driver

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.site.agent.turn()

    def sealed(self, push: Push, *, key: str = "", site: str = SITE) -> Sealed:
        body = encoded(push)
        own = key_bytes(key or self.centre.key)
        return Sealed(body, seal(own, by=BY_AGENT, site=site, body=body))


def a_push(both: Both, **more: object) -> Push:
    said = msgspec.json.decode(both.line.said[-1].body, type=Push)
    return msgspec.structs.replace(said, count=said.count + 1, **more)
