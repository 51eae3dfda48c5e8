"""Moving a cluster to another site: planned, drained, moved, accepted there."""

from collections.abc import Sequence
from itertools import pairwise

from dure.core.calls.form import GRADES
from dure.core.calls.model import Call
from dure.core.calls.rules import NAME
from dure.core.events import Event
from dure.core.events.supply import DeliveryAnnounced, TransferPlanned, TransferStepped
from dure.core.events.work import NodeDrained, NodeResumed
from dure.core.programme import Refusal
from dure.core.supply.delivering import NODES_MAX
from dure.core.supply.moving import Right, check_nodes, check_service, left_gpus, peak_gpus
from dure.services.access import Actor, require
from dure.services.delivering import OPERATOR, Pool
from dure.services.negotiating import TEXT_MAX, No, no, too_far
from dure.services.reimbursing import Reimbursing
from dure.services.supply_tables import TransferState


class Moving(Reimbursing):
    """The use cases of a planned migration; acceptance at the new site is ``Delivering``'s."""

    def plan_transfer(
        self,
        actor: Actor,
        *,
        nodes: Sequence[str],
        provider: str,
        site: str,
        grade: str,
        call: str,
        drain_at_s: int,
        move_at_s: int,
        back_at_s: int,
        pool: Pool,
    ) -> TransferPlanned | No:
        """Plan a move, if everybody entitled in that time can be served without these nodes.

        Args:
            provider: who runs them there; ``call``: whose inspection and tests they must pass.
        """
        require(actor, "supply.office")
        with self._reading():
            terms = self._supply_call(call)
            if not isinstance(terms, Call):
                return terms
            names, now_s = tuple(dict.fromkeys(nodes)), self.clock.now_s()
            wrong = (
                self._check_place(names, provider, site, grade)
                or too_far(drain=drain_at_s, moves=move_at_s, back=back_at_s)
                or _out_of_order(now=now_s, drain=drain_at_s, moves=move_at_s, back=back_at_s)
            )
            if wrong:
                return wrong
            moving = self._away(drain_at_s, back_at_s)
            problem = check_nodes(names, pool, self.supply.moving(), grade=grade)
            if problem is not None:
                return (problem,)
            left = left_gpus(names, pool, moving)
            entitled = peak_gpus(self._rights(), from_s=drain_at_s, to_s=back_at_s)
            problem = check_service(entitled, left)
            if problem is not None:
                return (problem,)
            event = TransferPlanned(
                f"t-{len(self.supply.transfers) + 1:04d}",
                names,
                provider,
                site,
                grade,
                call,
                drain_at_s,
                move_at_s,
                back_at_s,
                {kind: entitled.get(kind, 0) for kind in left},
                left,
                tuple(sorted({pool[name].provider for name in names})),
                at_s=now_s,
                by=actor.user,
            )
            self._write([event])
            return event

    def _check_place(self, names: Sequence[str], provider: str, site: str, grade: str) -> No:
        for field, text in (("provider", provider), ("site", site)):
            if NAME.fullmatch(text) is None:
                expected = "a-z, 0-9, - _; at most 40"
                return no(Refusal.VALUE_IS_WRONG, field, found=text[:40], expected=expected)
        if grade not in GRADES:
            return no(Refusal.FIELD_IS_NOT_IN_LIST, "grade", offered=", ".join(GRADES))
        if not 0 < len(names) <= NODES_MAX:
            expected = f"1 .. {NODES_MAX}"
            return no(Refusal.VALUE_IS_WRONG, "nodes", found=str(len(names)), expected=expected)
        for name in names:
            if self.supply.awaits_acceptance(name):
                return no(Refusal.NODE_AWAITS_ACCEPTANCE, "nodes", node=name)
        return ()

    def drain_transfer(self, actor: Actor, transfer: str, *, pool: Pool) -> TransferStepped | No:
        """Close the nodes to new work, from the day planned on; asks once more who waits then."""
        with self._reading():
            state = self._transfer(actor, transfer, "planned")
            if not isinstance(state, TransferState):
                return state
            planned = state.planned
            early = self._early(planned.drain_at_s)
            if early:
                return early
            entitled = peak_gpus(self._rights(), from_s=self.clock.now_s(), to_s=planned.back_at_s)
            away = self._away(planned.drain_at_s, planned.back_at_s) - set(planned.nodes)
            gone = [name for name in planned.nodes if name in pool]
            problem = check_service(entitled, left_gpus(gone, pool, away))
            if problem is not None:
                return (problem,)
            reason = f"transfer {transfer}"
            closed = [
                NodeDrained(
                    at_s=self.clock.now_s(), by=actor.user, node=name, who=OPERATOR, reason=reason
                )
                for name in gone
            ]
            return self._step(actor, transfer, "drained", closed)

    def move_transfer(self, actor: Actor, transfer: str, *, pool: Pool) -> TransferStepped | No:
        """Note that the nodes moved; they await inspection and tests at the new site.

        Refused while anything runs on one of them: what runs there ends, or is moved, first.
        """
        with self._reading():
            state = self._transfer(actor, transfer, "drained")
            if not isinstance(state, TransferState):
                return state
            planned = state.planned
            early = self._early(planned.move_at_s)
            if early:
                return early
            busy = [name for name in planned.nodes if name in pool and pool[name].is_busy]
            if busy:
                return no(Refusal.NODES_ARE_BUSY, "nodes", nodes=len(busy), node=busy[0])
            gpus = {pool[name].gpus for name in planned.nodes if name in pool}
            delivered = DeliveryAnnounced(
                self._next_delivery(),
                "",
                planned.call,
                planned.provider,
                planned.site,
                planned.nodes,
                max(gpus, default=self.tables.calls[planned.call].node_gpus),
                transfer,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            return self._step(actor, transfer, "moved", [delivered])

    def cancel_transfer(
        self, actor: Actor, transfer: str, *, cause: str, pool: Pool
    ) -> TransferStepped | No:
        """Let the nodes stay where they are, and take work again; not after they moved."""
        with self._reading():
            state = self._transfer(actor, transfer, "planned", "drained")
            if not isinstance(state, TransferState):
                return state
            opened = [
                NodeResumed(at_s=self.clock.now_s(), by=actor.user, node=name, who=OPERATOR)
                for name in state.planned.nodes
                if state.step == "drained" and name in pool
            ]
            return self._step(actor, transfer, "cancelled", opened, cause=cause)

    def _step(
        self, actor: Actor, transfer: str, step: str, beside: Sequence[Event], *, cause: str = ""
    ) -> TransferStepped:
        assert step in ("drained", "moved", "cancelled")
        event = TransferStepped(
            transfer,
            "drained" if step == "drained" else "moved" if step == "moved" else "cancelled",
            cause[:TEXT_MAX],
            at_s=self.clock.now_s(),
            by=actor.user,
        )
        self._write([event, *beside])
        return event

    def _transfer(self, actor: Actor, transfer: str, *steps: str) -> TransferState | No:
        require(actor, "supply.office")
        state = self.supply.transfers.get(transfer)
        if state is None:
            return no(Refusal.TRANSFER_IS_UNKNOWN)
        if state.step in ("done", "cancelled"):
            return no(Refusal.TRANSFER_IS_OVER)
        if state.step not in steps:
            return no(Refusal.TRANSFER_IS_OUT_OF_ORDER)
        return state

    def _early(self, at_s: int) -> No:
        return () if self.clock.now_s() >= at_s else no(Refusal.TRANSFER_IS_NOT_DUE, due_at_s=at_s)

    def _away(self, from_s: int, to_s: int) -> frozenset[str]:
        """Return the nodes of other transfers that are away at any moment of an interval.

        One that is not accepted there yet is away, whatever its plan said.
        """
        return frozenset(
            name
            for one in self.supply.transfers.values()
            if one.step not in ("done", "cancelled")
            and one.planned.drain_at_s < to_s
            and (one.planned.back_at_s > from_s or one.step == "moved")
            for name in one.planned.nodes
        )

    def _rights(self) -> list[Right]:
        return [
            Right(state.granted.accelerator, gpus, from_s, to_s)
            for state in self.tables.allocations.values()
            for from_s, to_s, gpus in state.spans()
        ]


def _out_of_order(**moments_s: int) -> No:
    """Refuse a moment that does not come after the one before it; the first may be now."""
    names = list(moments_s)
    for before, name in pairwise(names):
        least_s = moments_s[before] + (before != names[0])
        if moments_s[name] < least_s:
            return no(Refusal.DATES_ARE_OUT_OF_ORDER, name, before=before)
    return ()
