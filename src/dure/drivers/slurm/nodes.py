"""The nodes of a Slurm site: what Slurm says of them, and the cleaning that some still owe."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dure.core.errors import InputError
from dure.core.orders import NodeReport
from dure.drivers import files
from dure.drivers.ends import written_at
from dure.drivers.places import Places
from dure.drivers.slurm.client import SlurmClient
from dure.drivers.slurm.launch import cleaning_argv, scratch_of
from dure.drivers.slurm.queue import NODE_DOWN, NODE_OPEN, SeenNode
from dure.drivers.slurm.site import Site

log = logging.getLogger("dure.slurm")

NODES_S = 3.0
# So long a node that answers has to prove that it is clean; then it is drained.
PROOF_S = 60.0


@dataclass(slots=True)
class _Owed:
    """The proof that nothing of an attempt is left on some nodes.

    Attributes:
        asked_at_s: when each node was told to clean up.
    """

    places: Places
    mark: str
    nodes: set[str]
    asked_at_s: dict[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.places.root / "owed" / f"{self.places.job}~{self.places.attempt}"


class SiteNodes:
    """Follows the nodes of a site; keeps those closed that have not proven to be clean.

    Args:
        expected: devices by node, as the pool counts on them.
    """

    def __init__(
        self,
        root: Path,
        site: Site,
        client: SlurmClient,
        site_id: str,
        grace_s: int,
        places: Callable[[str, int], Places],
        monotone_s: Callable[[], float],
        expected: Mapping[str, int],
    ) -> None:
        self._site, self._client, self._site_id = site, client, site_id
        self._grace_s, self._monotone_s, self._expected = grace_s, monotone_s, expected
        self._seen: dict[str, SeenNode] | None = None
        self._looked_at_s = -NODES_S
        self._owed: dict[tuple[str, int], _Owed] = {}
        for path in sorted((root / "owed").iterdir()):
            self._take_up(path, places)

    @property
    def token(self) -> str:
        """Return what the reason of our drains begins with; others' we leave alone."""
        return f"dure:{self._site_id}"

    def owe(self, places: Places, mark: str, nodes: Sequence[str]) -> None:
        """Keep nodes closed until they prove that nothing of an attempt is left; durable."""
        key = (places.job, places.attempt)
        if key not in self._owed:
            owed = _Owed(places, mark, set(nodes))
            text = json.dumps({"mark": mark, "nodes": sorted(nodes)})
            files.write_durably(str(owed.path), text)
            self._owed[key] = owed

    def reports(self) -> Sequence[NodeReport]:
        """Return how each node of the site stands; nothing before Slurm spoke."""
        if self._seen is None:
            return ()
        owing = {node: owed for owed in self._owed.values() for node in owed.nodes}
        names = sorted({*self._site.nodes, *self._expected})
        return tuple(self._report(name, owing.get(name)) for name in names)

    def see_to_them(self) -> None:
        """Look at the nodes now and then, and have those cleaned that owe it."""
        now_s = self._monotone_s()
        if now_s < self._looked_at_s + NODES_S:
            return
        self._looked_at_s = now_s
        # If Slurm does not answer, nodes stay as they were last seen.
        self._seen = self._client.nodes() or self._seen
        for owed in list(self._owed.values()):
            for node in sorted(owed.nodes):
                self._see_to_proof(owed, node, now_s)
            if not owed.nodes:
                files.remove(str(owed.path))
                del self._owed[owed.places.job, owed.places.attempt]

    def _see_to_proof(self, owed: _Owed, node: str, now_s: float) -> None:
        evidence = written_at(owed.places.clean_of(node))
        attempt = f"{owed.places.job}~{owed.places.attempt}"
        if evidence and evidence.get("is_clean"):
            log.warning("node %s is proven clean after %s: %s", node, attempt, evidence)
            owed.nodes.discard(node)
        elif not self._is_open(node):
            # Down, or closed by somebody: it can prove nothing now, and nobody comes upon it.
            owed.asked_at_s.pop(node, None)
        elif node not in owed.asked_at_s:
            files.remove(str(owed.places.clean_of(node)))
            argv = cleaning_argv(
                owed.places,
                self._site.nodes[node],
                self._site,
                mark=owed.mark,
                scratch=scratch_of(self._site_id, owed.places),
                grace_s=self._grace_s,
            )
            if self._client.submit_one(argv):
                owed.asked_at_s[node] = now_s
        elif evidence or now_s >= owed.asked_at_s[node] + PROOF_S:
            reason = f"{self.token} not proven clean after {attempt}"
            if self._client.drain(node, reason):
                log.error("node %s is drained at Slurm: %s; %s", node, reason, evidence)
                owed.nodes.discard(node)

    def _is_open(self, node: str) -> bool:
        seen = (self._seen or {}).get(node)
        return seen is not None and seen.answers and seen.state in NODE_OPEN

    def _report(self, name: str, owed: _Owed | None) -> NodeReport:
        seen, node = (self._seen or {}).get(name), self._site.nodes.get(name)
        if seen is None or node is None:
            return NodeReport(name, "closed", "health", "Slurm has no such node to use")
        if node.gpus < self._expected.get(name, 0):
            return NodeReport(name, "closed", "health", f"Slurm has {node.gpus} devices there")
        if seen.state in NODE_DOWN:
            return NodeReport(name, "down", "", seen.reason)
        if owed is not None:
            after = f"{owed.places.job}~{owed.places.attempt}"
            return NodeReport(name, "closed", "health", f"not proven clean after {after}")
        if not seen.answers:
            return NodeReport(name, "closed", "health", "it does not answer Slurm")
        if seen.state in NODE_OPEN:
            return NodeReport(name, "open")
        who = "health" if seen.reason.startswith("dure:") else "provider"
        return NodeReport(name, "closed", who, seen.reason or seen.state)

    def _take_up(self, path: Path, places: Callable[[str, int], Places]) -> None:
        job, _, attempt = path.name.partition("~")
        written = written_at(path) or {}
        nodes = {str(node) for node in written.get("nodes", ()) if node in self._site.nodes}
        try:
            found = places(job, int(attempt))
        except (InputError, ValueError, AssertionError):
            return
        if nodes:
            self._owed[job, int(attempt)] = _Owed(found, str(written.get("mark", "")), nodes)
