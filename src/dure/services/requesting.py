"""Requests about an award or a decision: filed by the team, decided by the office, done at once."""

from typing import get_args

from dure.core.awards import Reason
from dure.core.calendar import months_later_s
from dure.core.events import Event
from dure.core.events.applying import RequestDecided, RequestFiled, RequestKind
from dure.core.events.programme import AllocationGranted, Decided
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.granting import shrunk
from dure.services.paper_tables import RequestState
from dure.services.programme_states import AllocationState, ApplicationState
from dure.services.promoting import Promoting

CAUSE_LENGTH_MAX = 4_000
# These go on where the last allocation ends; the others concern the one that is held now.
_GO_ON = ("renewal", "extension")


class Requesting(Promoting):
    """The use cases of renewals, extensions, supplements, transfers, advances and appeals."""

    def file_request(
        self,
        actor: Actor,
        application: str,
        kind: RequestKind,
        *,
        gpus: int = 0,
        months: int = 0,
        to_project: str = "",
        cause: str = "",
    ) -> RequestFiled | Refusal:
        """Ask for something; one request of a kind may be open for an application."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                require(actor, "request.file", owner=actor.user)
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "request.file", state)
            refusal = self._refused(state, kind, gpus, months, to_project, cause)
            if refusal is not None:
                return refusal
            submitted = state.submitted
            event = RequestFiled(
                f"q-{len(self.papers.requests) + 1:05d}",
                kind,
                application,
                submitted.call,
                submitted.project,
                self._concerned(state, kind),
                gpus,
                months,
                to_project,
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def decide_request(
        self, actor: Actor, request: str, *, grants: bool, cause: str = ""
    ) -> tuple[Event, ...] | Refusal:
        """Grant or refuse a request; what it changes is written with the decision."""
        require(actor, "request.decide")
        with self._reading() as tables:
            state = self.papers.requests.get(request)
            if state is None:
                return Refusal.REQUEST_IS_UNKNOWN
            if state.decided is not None:
                return Refusal.REQUEST_IS_DECIDED
            filed = state.filed
            effect: tuple[Event, ...] = ()
            if grants:
                # What was true when it was filed may not be any more.
                application = tables.applications[filed.application]
                found = self._effect(state, application, actor.user)
                if isinstance(found, Refusal):
                    return found
                effect = found
            decided = RequestDecided(
                request,
                filed.kind,
                filed.application,
                filed.project,
                "granted" if grants else "refused",
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            return self._write_and_promote([decided, *effect], filed.call)

    def possible_requests(self, application: str) -> tuple[RequestKind, ...]:
        """Return the kinds of request that an application's team could file now."""
        state = self.tables.applications.get(application)
        if state is None:
            return ()
        months, gpus = 1, self.tables.calls[state.submitted.call].node_gpus
        somewhere = state.submitted.project
        return tuple(
            kind
            for kind in get_args(RequestKind)
            if self._refused(state, kind, gpus, months, somewhere, "-") is None
        )

    def _refused(
        self,
        state: ApplicationState,
        kind: RequestKind,
        gpus: int,
        months: int,
        to_project: str,
        cause: str,
    ) -> Refusal | None:
        call = self.tables.calls[state.submitted.call]
        if not cause.strip():
            return Refusal.REQUEST_NEEDS_A_CAUSE
        if len(cause) > CAUSE_LENGTH_MAX:
            return Refusal.FIELD_IS_TOO_LONG
        open_ = (one.filed for one in self.papers.requests.values() if one.decided is None)
        if any((one.application, one.kind) == (state.submitted.application, kind) for one in open_):
            return Refusal.REQUEST_IS_OPEN
        if kind == "appeal":
            is_against = state.decided is not None and state.status in ("rejected", "waitlisted")
            return None if is_against else Refusal.NOTHING_TO_APPEAL
        held = self.tables.allocations.get(self._concerned(state, kind))
        if held is None or held.gpus == 0:
            return Refusal.ALLOCATION_IS_OVER if held else Refusal.ALLOCATION_IS_UNKNOWN
        if kind in _GO_ON and not 1 <= months <= call.months_max:
            return Refusal.TERM_IS_OVER_CAP
        if kind == "supplement" and (gpus < 1 or gpus % call.node_gpus):
            return Refusal.SIZE_IS_NOT_WHOLE_NODES
        if kind == "advance" and self.clock.now_s() >= held.granted.from_s:
            return Refusal.ALLOCATION_HAS_BEGUN
        if kind == "transfer" and to_project not in self._projects():
            return Refusal.PROJECT_IS_UNKNOWN
        return None

    def _concerned(self, state: ApplicationState, kind: RequestKind) -> str:
        """Return the allocation that a request is about: the last, or the one held now."""
        if kind == "appeal":
            return ""
        return state.allocation if kind in _GO_ON else self.tables.current(state)

    def _projects(self) -> set[str]:
        return {one.submitted.project for one in self.tables.applications.values()}

    def _effect(
        self, request: RequestState, state: ApplicationState, by: str
    ) -> tuple[Event, ...] | Refusal:
        filed, now_s = request.filed, self.clock.now_s()
        if filed.kind == "appeal":
            return self._upheld(state, by)
        held = self.tables.allocations[filed.allocation]
        granted = held.granted
        if held.gpus == 0 or granted.to_s <= now_s:
            return Refusal.ALLOCATION_IS_OVER
        offer = filed.call, granted.accelerator
        free_gpus = self.tables.free_gpus(*offer)
        match filed.kind:
            case "renewal" | "extension":
                to_s = months_later_s(granted.to_s, filed.months)
                return (self._more(filed, held, held.gpus, granted.to_s, to_s, by),)
            case "supplement":
                cap = self.tables.calls[filed.call].caps.get(granted.accelerator)
                if cap is not None and held.gpus + filed.gpus > cap:
                    return Refusal.SIZE_IS_OVER_CAP
                if filed.gpus > free_gpus:
                    return Refusal.NOTHING_IS_FREE
                from_s = max(now_s, granted.from_s)
                return (self._more(filed, held, filed.gpus, from_s, self._end_s(held), by),)
            case "advance":
                if now_s >= granted.from_s:
                    return Refusal.ALLOCATION_HAS_BEGUN
                # Before the call's start nothing of it is in use: what it awarded is there.
                return (self._more(filed, held, held.gpus, now_s, granted.from_s, by),)
            case _:
                ended = shrunk(self.tables, held, held.gpus, "transfer", now_s, by)
                from_s, to_s = max(now_s, granted.from_s), self._end_s(held)
                moved = self._more(filed, held, held.gpus, from_s, to_s, by, filed.to_project)
                return *ended, moved

    def _end_s(self, held: AllocationState) -> int:
        """Return when an allocation ends with all that follows on it."""
        followers = [one for one in self.tables.followers(held) if one.gpus > 0]
        return max(one.granted.to_s for one in (held, *followers))

    def _more(
        self,
        filed: RequestFiled,
        held: AllocationState,
        gpus: int,
        from_s: int,
        to_s: int,
        by: str,
        project: str = "",
    ) -> AllocationGranted:
        granted = held.granted
        assert filed.kind != "appeal", "an appeal is about a decision"
        return AllocationGranted(
            f"{granted.allocation}-{filed.request}",
            granted.call,
            granted.application,
            project or granted.project,
            granted.accelerator,
            gpus,
            from_s,
            to_s,
            granted.shape,
            granted.lendable,
            filed.kind,
            at_s=self.clock.now_s(),
            by=by,
        )

    def _upheld(self, state: ApplicationState, by: str) -> tuple[Event, ...] | Refusal:
        """Put an application whose appeal is upheld first in the line of what it asked for."""
        decided, submitted = state.decided, state.submitted
        if decided is None or state.status not in ("rejected", "waitlisted"):
            return Refusal.NOTHING_TO_APPEAL
        again = Decided(
            decided.application,
            decided.call,
            decided.project,
            decided.accelerator,
            "waitlisted",
            decided.asked_gpus,
            submitted.gpus,
            decided.score_milli,
            decided.raw_milli,
            decided.rank,
            0,
            Reason.APPEAL_UPHELD.value,
            {"asked_gpus": submitted.gpus, "gpus": submitted.gpus},
            at_s=self.clock.now_s(),
            by=by,
        )
        return (again,)
