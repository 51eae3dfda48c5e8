"""Delivery: nodes announced, inspected, tested, and only then in the pool."""

from collections.abc import Mapping, Sequence

from dure.core.calls.rules import NAME
from dure.core.columns import CORDONERS, OF_OPERATOR
from dure.core.events import Event
from dure.core.events.supply import (
    DeliveryAnnounced,
    NodesAccepted,
    NodesInspected,
    NodesTested,
    SupplyAgreed,
)
from dure.core.events.work import NodeDrained, NodeResumed
from dure.core.programme import Refusal
from dure.core.supply.delivering import FIGURE_MAX, NODES_MAX, check_names, check_node
from dure.core.supply.measures import supply_of
from dure.core.supply.moving import PoolNode
from dure.services.access import Actor, require
from dure.services.negotiating import Negotiating, No, is_told, no
from dure.services.supply_tables import DeliveryState

Pool = Mapping[str, PoolNode]
NODE_LENGTH_MAX = 100
OPERATOR = CORDONERS[OF_OPERATOR]


class Delivering(Negotiating):
    """The use cases from the lorry to the pool. ``pool`` has the nodes that the pool knows."""

    def announce_delivery(
        self,
        actor: Actor,
        agreement: str,
        *,
        site: str,
        nodes: Sequence[str],
        node_gpus: int,
        pool: Pool,
    ) -> DeliveryAnnounced | No:
        """Say that nodes stand at a site; those that the pool knows take no work from now on."""
        with self._reading():
            agreed = self._agreement(actor, agreement)
            if not isinstance(agreed, SupplyAgreed):
                return agreed
            problems = self._check_nodes(nodes, site, node_gpus)
            if problems:
                return problems
            gpus, agreed_gpus = len(nodes) * node_gpus, agreed.offer.gpus
            before = self.delivered_gpus(agreement)
            if before + gpus > agreed_gpus:
                return no(
                    Refusal.DELIVERY_IS_TOO_LARGE,
                    "nodes",
                    gpus=gpus,
                    delivered_gpus=before,
                    agreed_gpus=agreed_gpus,
                )
            event = DeliveryAnnounced(
                self._next_delivery(),
                agreement,
                agreed.call,
                agreed.provider,
                site,
                tuple(nodes),
                node_gpus,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event, *_drained(event, pool)])
            return event

    def inspect(
        self,
        actor: Actor,
        delivery: str,
        *,
        items: Mapping[str, bool],
        evidence: str,
        nodes: Sequence[str] = (),
        note: str = "",
    ) -> NodesInspected | No:
        """Go through the call's inspection; of all nodes not accepted yet unless some are named."""
        require(actor, "supply.office")
        with self._reading():
            found = self._waiting(delivery, nodes, evidence)
            if not isinstance(found, DeliveryState):
                return found
            call = self.tables.calls[found.announced.call]
            strange = check_names(items, supply_of(call).inspection, Refusal.ITEM_IS_UNKNOWN)
            if strange is not None:
                return (strange,)
            event = NodesInspected(
                delivery,
                tuple(nodes) or tuple(_open(found)),
                dict(items),
                evidence.strip(),
                note[:500],
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def test_nodes(
        self,
        actor: Actor,
        delivery: str,
        *,
        results: Mapping[str, int],
        evidence: str,
        nodes: Sequence[str] = (),
    ) -> NodesTested | No:
        """Note figures of the acceptance tests, good or bad."""
        require(actor, "supply.office")
        with self._reading():
            found = self._waiting(delivery, nodes, evidence)
            if not isinstance(found, DeliveryState):
                return found
            tests = supply_of(self.tables.calls[found.announced.call]).tests
            known = frozenset(one.test for one in tests)
            strange = check_names(results, known, Refusal.TEST_IS_UNKNOWN)
            if strange is not None:
                return (strange,)
            for name, figure in results.items():
                if not 0 <= figure <= FIGURE_MAX:
                    bounds: dict[str, int | str] = {
                        "found": str(figure)[:40],
                        "least": 0,
                        "most": FIGURE_MAX,
                    }
                    return no(Refusal.NUMBER_IS_OUT_OF_BOUNDS, name, **bounds)
            event = NodesTested(
                delivery,
                tuple(nodes) or tuple(_open(found)),
                dict(results),
                evidence.strip(),
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def accept_nodes(
        self, actor: Actor, delivery: str, *, nodes: Sequence[str] = (), pool: Pool
    ) -> NodesAccepted | No:
        """Let nodes into the pool that passed everything; named ones all or none of them.

        Without names, all that passed; if none did, the answer says what the first one lacks.
        """
        require(actor, "supply.office")
        with self._reading():
            found = self._waiting(delivery, nodes, "-")
            if not isinstance(found, DeliveryState):
                return found
            terms = supply_of(self.tables.calls[found.announced.call])
            asked = list(nodes) or list(_open(found))
            problems = {name: check_node(terms, name, found.looks[name]) for name in asked}
            passed = [name for name, problem in problems.items() if problem is None]
            wrong = [problem for problem in problems.values() if problem is not None]
            if not passed or (nodes and wrong):
                return tuple(wrong[:1]) or no(Refusal.NODE_IS_ACCEPTED)
            event = NodesAccepted(delivery, tuple(passed), at_s=self.clock.now_s(), by=actor.user)
            opened = (
                NodeResumed(at_s=event.at_s, by=actor.user, node=name, who=OPERATOR)
                for name in passed
                if name in pool
            )
            self._write([event, *opened])
            return event

    def _agreement(self, actor: Actor, agreement: str) -> SupplyAgreed | No:
        agreed = self.supply.agreements.get(agreement)
        require(actor, "supply.provide", owner=agreed.provider if agreed else actor.provider)
        return no(Refusal.AGREEMENT_IS_UNKNOWN) if agreed is None else agreed

    def _check_nodes(self, nodes: Sequence[str], site: str, node_gpus: int) -> No:
        is_named = all(0 < len(one) <= NODE_LENGTH_MAX and one.isprintable() for one in nodes)
        if not 0 < len(nodes) <= NODES_MAX or len(set(nodes)) < len(nodes) or not is_named:
            expected = f"1 .. {NODES_MAX} names, each once"
            return no(Refusal.VALUE_IS_WRONG, "nodes", found=str(len(nodes)), expected=expected)
        if NAME.fullmatch(site) is None:
            expected = "a-z, 0-9, - _; at most 40"
            return no(Refusal.VALUE_IS_WRONG, "site", found=site[:40], expected=expected)
        if not 1 <= node_gpus <= 1024:
            return no(Refusal.VALUE_IS_WRONG, "node_gpus", found=str(node_gpus), expected="1024")
        moving = self.supply.moving()
        for name in nodes:
            if name in moving:
                return no(Refusal.NODE_IS_MOVING, "nodes", node=name)
            if name in self.supply.delivery_of:
                delivery = self.supply.delivery_of[name]
                return no(Refusal.NODE_IS_DELIVERED, "nodes", node=name, delivery=delivery)
        return ()

    def delivered_gpus(self, agreement: str) -> int:
        """Return the GPUs of an agreement that were announced, accepted or not."""
        return sum(
            len(one.looks) * one.announced.node_gpus
            for one in self.supply.deliveries.values()
            if one.announced.agreement == agreement
        )

    def _next_delivery(self) -> str:
        return f"v-{len(self.supply.deliveries) + 1:04d}"

    def _waiting(self, delivery: str, nodes: Sequence[str], evidence: str) -> DeliveryState | No:
        """Return a delivery of which the named nodes, or any, are not accepted yet."""
        found = self.supply.deliveries.get(delivery)
        if found is None:
            return no(Refusal.DELIVERY_IS_UNKNOWN)
        if not is_told(evidence):
            return no(Refusal.EVIDENCE_IS_MISSING, "evidence")
        for name in nodes:
            if name not in found.looks:
                return no(Refusal.NODE_IS_UNKNOWN, "nodes", node=name)
            if found.looks[name].accepted_at_s is not None:
                return no(Refusal.NODE_IS_ACCEPTED)
        if not _open(found):
            return no(Refusal.NODE_IS_ACCEPTED)
        return found


def _open(state: DeliveryState) -> list[str]:
    return [name for name, one in state.looks.items() if one.accepted_at_s is None]


def _drained(event: DeliveryAnnounced, pool: Pool) -> list[Event]:
    reason = f"delivery {event.delivery}"
    return [
        NodeDrained(at_s=event.at_s, by=event.by, node=name, who=OPERATOR, reason=reason)
        for name in event.nodes
        if name in pool
    ]
