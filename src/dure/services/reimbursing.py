"""Money and duties of an agreement: claims, payments, credits for faults, monthly reports."""

from collections.abc import Sequence

from dure.core.calendar import month_of, month_window_s
from dure.core.calls.supply import SupplyTerms
from dure.core.errors import InputError
from dure.core.events.supply import (
    ClaimDecided,
    ClaimFiled,
    ClaimPaid,
    DutyDone,
    ServiceCreditGiven,
    SupplyAgreed,
)
from dure.core.programme import Refusal
from dure.core.supply.measures import supply_of
from dure.core.supply.paying import Claimed, check_claim, check_year, credit_of, duty_due_at_s
from dure.services.access import Actor, require
from dure.services.delivering import Delivering
from dure.services.negotiating import TEXT_MAX, No, is_told, no
from dure.services.supply_tables import ClaimState

EVIDENCE_MAX = 100


class Reimbursing(Delivering):
    """The use cases of money, and of what a provider owes each month."""

    def claim(
        self,
        actor: Actor,
        agreement: str,
        *,
        instalment: str,
        amount_krw: int,
        evidence: Sequence[str],
    ) -> ClaimFiled | No:
        """Ask for reimbursement of what was paid; its instalment says which fiscal year pays."""
        with self._reading():
            agreed = self._agreement(actor, agreement)
            if not isinstance(agreed, SupplyAgreed):
                return agreed
            proofs = tuple(dict.fromkeys(one.strip() for one in evidence if one.strip()))
            if not 0 < len(proofs) <= EVIDENCE_MAX or any(len(one) > TEXT_MAX for one in proofs):
                return no(Refusal.EVIDENCE_IS_MISSING, "evidence")
            terms, now_s = self._terms(agreed), self.clock.now_s()
            part = terms.instalment(instalment)
            wish = Claimed(agreement, instalment, part.year if part else 0, amount_krw)
            problem = self._check_claim(agreed, wish, but="")
            if problem:
                return problem
            event = ClaimFiled(
                f"c-{len(self.supply.claims) + 1:04d}",
                agreement,
                instalment,
                wish.year,
                amount_krw,
                proofs,
                at_s=now_s,
                by=actor.user,
            )
            self._write([event])
            return event

    def decide_claim(
        self, actor: Actor, claim: str, *, approved_krw: int, cause: str = ""
    ) -> ClaimDecided | No:
        """Approve a claim, in part if less; 0 refuses it. Less than was asked needs a cause."""
        require(actor, "supply.office")
        with self._reading():
            state = self._open_claim(claim, "open", Refusal.CLAIM_IS_DECIDED)
            if not isinstance(state, ClaimState):
                return state
            filed = state.filed
            if not 0 <= approved_krw <= filed.amount_krw:
                asked_krw = filed.amount_krw
                return no(
                    Refusal.APPROVAL_IS_OVER_CLAIM, approved_krw=approved_krw, amount_krw=asked_krw
                )
            if approved_krw < filed.amount_krw and not is_told(cause):
                return no(Refusal.REQUEST_NEEDS_A_CAUSE, "cause")
            if approved_krw:
                wish = Claimed(filed.agreement, filed.instalment, filed.year, approved_krw)
                agreed = self.supply.agreements[filed.agreement]
                problem = self._check_claim(agreed, wish, but=claim)
                if problem:
                    return problem
            event = ClaimDecided(
                claim, approved_krw, cause[:TEXT_MAX], at_s=self.clock.now_s(), by=actor.user
            )
            self._write([event])
            return event

    def pay(self, actor: Actor, claim: str) -> ClaimPaid | No:
        """Note that an approved claim was paid, less the credits that stand open."""
        require(actor, "supply.office")
        with self._reading():
            state = self._open_claim(claim, "approved", Refusal.CLAIM_IS_NOT_APPROVED)
            if not isinstance(state, ClaimState):
                return state
            filed, decided, now_s = state.filed, state.decided, self.clock.now_s()
            assert decided is not None
            part = self._terms(self.supply.agreements[filed.agreement]).instalment(filed.instalment)
            assert part is not None
            late = check_year(part, at_s=now_s)
            if late is not None:
                return (late,)
            credit = min(self.supply.credit_left_krw(filed.agreement), decided.approved_krw)
            event = ClaimPaid(
                claim, decided.approved_krw - credit, credit, at_s=now_s, by=actor.user
            )
            self._write([event])
            return event

    def settle_month(self, actor: Actor, month: str) -> tuple[ServiceCreditGiven, ...] | No:
        """Settle a month's faults of all agreements: what they cost the provider, 0 included."""
        require(actor, "supply.office")
        with self._reading():
            now_s = self.clock.now_s()
            window = _window(month)
            if window is None:
                return no(Refusal.FIELD_IS_NO_DATE, "month")
            if now_s < window[1]:
                return no(Refusal.MONTH_IS_NOT_OVER, "month", month=month)
            served = [
                event
                for agreed in self.supply.agreements.values()
                if (event := self._credit(agreed, month, window, actor.user)) is not None
            ]
            if not served:
                return no(Refusal.MONTH_IS_SETTLED, "month", month=month)
            self._write(served)
            return tuple(served)

    def report_duty(
        self, actor: Actor, agreement: str, month: str, *, evidence: str
    ) -> DutyDone | No:
        """Hand in a month's report; late ones are taken, and marked so."""
        with self._reading():
            agreed = self._agreement(actor, agreement)
            if not isinstance(agreed, SupplyAgreed):
                return agreed
            now_s, window = self.clock.now_s(), _window(month)
            if window is None:
                return no(Refusal.FIELD_IS_NO_DATE, "month")
            if not is_told(evidence):
                return no(Refusal.EVIDENCE_IS_MISSING, "evidence")
            if now_s < window[1]:
                return no(Refusal.MONTH_IS_NOT_OVER, "month", month=month)
            if month not in self.duty_months(agreement):
                return no(Refusal.DUTY_IS_NOT_OWED, "month", month=month)
            if (agreement, month) in self.supply.duties:
                return no(Refusal.DUTY_IS_DONE, "month", month=month)
            due_at_s = duty_due_at_s(month, self._terms(agreed))
            event = DutyDone(
                agreement,
                month,
                evidence.strip(),
                due_at_s,
                now_s >= due_at_s,
                at_s=now_s,
                by=actor.user,
            )
            self._write([event])
            return event

    def duty_months(self, agreement: str) -> list[str]:
        """Return the months in which a provider ran accepted nodes, up to the one that is over."""
        now_s, months = self.clock.now_s(), []
        served = list(self.supply.served(agreement))
        if not served:
            return []
        at_s = min(from_s for _, _, from_s, _ in served)
        until_s = max(now_s if to_s is None else to_s for _, _, _, to_s in served)
        while at_s < until_s:
            month = month_of(at_s)
            at_s = month_window_s(month)[1]
            if at_s <= now_s:
                months.append(month)
        return months

    def due_at_s(self, agreement: str, month: str) -> int:
        """Return the first second at which an agreement's report of a month is late."""
        return duty_due_at_s(month, self._terms(self.supply.agreements[agreement]))

    def _terms(self, agreed: SupplyAgreed) -> SupplyTerms:
        return supply_of(self.tables.calls[agreed.call])

    def _check_claim(self, agreed: SupplyAgreed, wish: Claimed, *, but: str) -> No:
        """Hold a claim against its limits, all others of the same call beside it."""
        same = {one.agreement for one in self.supply.agreements.values()
                if one.call == agreed.call}  # fmt: skip
        before = [
            one.counts()
            for name, one in self.supply.claims.items()
            if name != but and one.filed.agreement in same
        ]
        problem = check_claim(
            wish,
            self._terms(agreed),
            before,
            price_krw=agreed.offer.price_krw,
            accepted_gpus=self.supply.accepted_gpus(agreed.agreement),
            gpus=agreed.offer.gpus,
            at_s=self.clock.now_s(),
        )
        return () if problem is None else (problem,)

    def _open_claim(self, claim: str, status: str, otherwise: Refusal) -> ClaimState | No:
        state = self.supply.claims.get(claim)
        if state is None:
            return no(Refusal.CLAIM_IS_UNKNOWN)
        return state if state.status == status else no(otherwise)

    def _credit(
        self, agreed: SupplyAgreed, month: str, window: tuple[int, int], by: str
    ) -> ServiceCreditGiven | None:
        """Return a month's settlement; None where it was settled or nothing was served."""
        if (agreed.agreement, month) in self.supply.credits:
            return None
        down, capacity = 0, 0
        for node, gpus, served_s, left_s in self.supply.served(agreed.agreement):
            from_s = max(served_s, window[0])
            to_s = min(window[1], window[1] if left_s is None else left_s)
            if from_s < to_s:
                capacity += gpus * (to_s - from_s)
                down += gpus * self.supply.down_s(node, from_s, to_s)
        if capacity == 0:
            return None
        ppm, percent, credit_krw = credit_of(
            self._terms(agreed),
            price_krw=agreed.offer.price_krw,
            months=agreed.offer.months,
            down_gpu_s=down,
            capacity_gpu_s=capacity,
        )
        return ServiceCreditGiven(
            agreed.agreement,
            month,
            down,
            capacity,
            ppm,
            percent,
            credit_krw,
            at_s=self.clock.now_s(),
            by=by,
        )


def _window(month: str) -> tuple[int, int] | None:
    try:
        return month_window_s(month) if len(month) == 7 else None
    except (InputError, ValueError, OverflowError):
        return None
