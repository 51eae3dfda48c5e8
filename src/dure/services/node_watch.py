"""What a backend says of its nodes becomes facts, where it differs from what it said before."""

import logging
from collections.abc import Sequence

from dure.core import columns as col
from dure.core.orders import NodeReport
from dure.core.state import State
from dure.services.standing import BY_BACKEND, IS_DOWN, Standing

log = logging.getLogger("dure.nodes")

FactRow = tuple[int, ...]


class NodeWatch:
    """Holds the newest reports against what the ledger has.

    Only what the backend itself had said is taken back: a node that a person closed stays closed.
    """

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._reports: Sequence[NodeReport] = ()
        self._unknown: set[str] = set()

    def look(self, reports: Sequence[NodeReport]) -> None:
        """Take in what the backend says now."""
        if reports != self._reports:
            for report in set(reports) - set(self._reports):
                log.warning("node %s is %s: %s", report.node, report.state, report.reason or "-")
        self._reports = reports

    def facts(self, state: State, now_s: int) -> list[FactRow]:
        """Return what has to be told to the engine, by node; a node not reported stays as it is."""
        rows: list[FactRow] = []
        said: dict[int, set[int]] = {}
        for at, what in self._standing.of_nodes:
            said.setdefault(at, set()).add(what)
        for report in self._reports:
            node = state.node_index.get(report.node)
            if node is None:
                self._set_aside(report)
                continue
            before, after = said.get(node, set()), _said_by(report)
            rows += [_fact(now_s, node, what, is_said=False) for what in sorted(before - after)]
            rows += [_fact(now_s, node, what, is_said=True) for what in sorted(after - before)]
        return rows

    def _set_aside(self, report: NodeReport) -> None:
        if report.node not in self._unknown:
            self._unknown.add(report.node)
            log.warning("the backend speaks of %r, which is no node of the pool", report.node[:80])


def _said_by(report: NodeReport) -> set[int]:
    if report.state == "down":
        return {IS_DOWN}
    return {col.CORDONERS.index(report.who)} if report.state == "closed" else set()


def _fact(now_s: int, node: int, what: int, *, is_said: bool) -> FactRow:
    if what == IS_DOWN:
        kind = col.K_FAULT if is_said else col.K_REPAIRED
        return (kind, now_s, -1, node, 0, 0, BY_BACKEND)
    return (col.K_CORDONED, now_s, -1, node, int(is_said), what, BY_BACKEND)
