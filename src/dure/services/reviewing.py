"""Reviewers: the pool, conflicts, bids, who reviews what, and who steps in for whom."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from dure.core.assigning import BIDS, CLOSED_BID, assign_panels, pairing
from dure.core.calls.form import partners_of
from dure.core.calls.model import WRITTEN, Stage
from dure.core.calls.stages import DAY_S, peer_stage_of
from dure.core.conflicts import Conflict, Entry, Reviewer, conflict_of, people_of
from dure.core.events import Event
from dure.core.events.judging import (
    BidGiven,
    ConflictDeclared,
    ReviewerRegistered,
    ReviewerReplaced,
)
from dure.core.events.programme import ApplicationSubmitted, ReviewerAssigned
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.office import Office
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.staging import standing_in

TEXT_MAX = 500
WORDS_MAX = 50


class Reviewing(Office):
    """The use cases around reviewers; their marks are ``Intake``'s."""

    def register_reviewer(self, actor: Actor, reviewer: Reviewer) -> ReviewerRegistered | Refusal:
        """Put a person into the pool of reviewers, or renew what is known of them."""
        require(actor, "reviewer.register", owner=reviewer.name)
        lists = (reviewer.areas, reviewer.partners, reviewer.supervised, reviewer.suppliers)
        words = [reviewer.name, reviewer.organisation, *(one for some in lists for one in some)]
        if any(not 0 < len(one.strip()) <= TEXT_MAX for one in words) or len(words) > WORDS_MAX:
            return Refusal.PROFILE_IS_INCOMPLETE
        with self._reading():
            event = ReviewerRegistered(
                reviewer.name,
                reviewer.organisation,
                *(tuple(some) for some in lists),
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def bid(self, actor: Actor, application: str, bid: str) -> BidGiven | Refusal:
        """Say how gladly one would review an application, before reviewers are assigned."""
        require(actor, "review.bid", owner=actor.user)
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None or state.is_withdrawn:
                return Refusal.APPLICATION_IS_UNKNOWN
            if actor.user not in tables.pool:
                return Refusal.REVIEWER_IS_UNKNOWN
            if bid not in (*BIDS, CLOSED_BID):
                return Refusal.BID_IS_UNKNOWN
            event = BidGiven(
                application, state.submitted.call, actor.user, bid,
                at_s=self.clock.now_s(), by=actor.user,
            )  # fmt: skip
            self._write([event])
            return event

    def declare_conflict(
        self, actor: Actor, application: str, reviewer: str, reason: str
    ) -> tuple[Event, ...] | Refusal:
        """Keep a reviewer from an application: one's own step back, or a challenge upheld.

        Whoever was asked already is replaced at once; marks that were given are not taken back.
        """
        own = actor.user == reviewer
        require(actor, "review.recuse" if own else "review.challenge", owner=reviewer)
        if not 0 < len(reason.strip()) <= TEXT_MAX:
            return Refusal.CONFLICT_NEEDS_REASON
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None or state.is_withdrawn:
                return Refusal.APPLICATION_IS_UNKNOWN
            if state.decided is not None:
                return Refusal.APPLICATION_IS_DECIDED
            stages = [stage for stage, name in state.asked if name == reviewer]
            if own and not stages and reviewer not in tables.pool:
                return Refusal.REVIEWER_IS_UNKNOWN
            if any(one.reviewer == reviewer for one in state.reviews):
                return Refusal.REVIEW_IS_GIVEN
            kind = Conflict.RECUSED if own else Conflict.CHALLENGED
            declared = ConflictDeclared(
                application, state.submitted.call, reviewer, kind.value, reason.strip(),
                at_s=self.clock.now_s(), by=actor.user,
            )  # fmt: skip
            events: list[Event] = [declared]
            out = {reviewer}
            for stage in stages:
                successor = self._successor(tables, state, out)
                if isinstance(successor, Refusal):
                    return successor
                out.add(successor)
                place = stage, reviewer
                events.append(self._replaced(state, place, successor, "conflict", actor.user))
            self._write(events)
            return tuple(events)

    def assign_reviewers(
        self,
        actor: Actor,
        call: str,
        reviewers: Sequence[Reviewer] | None = None,
        *,
        stage: str = WRITTEN,
        due_at_s: int = 0,
    ) -> tuple[ReviewerAssigned, ...] | Refusal:
        """Give each application that is in a stage the reviewers whom it needs there.

        In the stage in which a call has its leads review one another, these are asked.

        Args:
            reviewers: who may be asked otherwise; the pool if not given.
            due_at_s: until when marks are awaited; 0 for the days that the stage gives, if any.
        """
        require(actor, "review.assign")
        with self._reading() as tables:
            now_s = self.clock.now_s()
            here = _stage_to_assign(tables, call, stage, now_s)
            if isinstance(here, Refusal):
                return here
            peers = stage == peer_stage_of(tables.calls[call])
            asked = None if peers else list(reviewers or _pool(tables))
            chosen = _panels(tables, call, here, asked)
            if isinstance(chosen, Refusal):
                return chosen
            due_at_s = due_at_s or _stage_due_s(here, now_s)
            events = tuple(
                ReviewerAssigned(
                    application, call, name, stage, due_at_s, at_s=now_s, by=actor.user
                )
                for application, names in chosen.items()
                for name in names
            )
            self._write(events)
            return events

    def replace_late(
        self, actor: Actor, call: str, *, due_at_s: int = 0
    ) -> tuple[ReviewerReplaced, ...] | Refusal:
        """Ask somebody else wherever marks did not come in time; loads stay even.

        Args:
            due_at_s: deadline of those who step in; 0 for the days that the stage gives, if any.
        """
        require(actor, "review.assign")
        with self._reading() as tables:
            if call not in tables.calls:
                return Refusal.CALL_IS_UNKNOWN
            replaced: list[ReviewerReplaced] = []
            late = [
                (state, place)
                for name in tables.of_call[call]
                if not (state := tables.applications[name]).is_withdrawn
                for place in tables.late_reviewers(state, self.clock.now_s())
            ]
            everyone_late = {reviewer for _, (_, reviewer) in late}
            for state, place in late:
                successor = self._successor(tables, state, everyone_late)
                if isinstance(successor, Refusal):
                    return successor
                event = self._replaced(state, place, successor, "late", actor.user, due_at_s)
                # Written one by one: the next choice sees this one's load.
                self._write([event])
                replaced.append(event)
            return tuple(replaced)

    def _successor(
        self, tables: ProgrammeTables, state: ApplicationState, out: set[str]
    ) -> str | Refusal:
        """Choose who steps in: nobody of ``out``, no conflict, least loaded, then best fit."""
        asked = [one for one in _pool(tables) if one.name not in out]
        if not asked:
            return Refusal.REVIEWERS_ARE_TOO_FEW
        names = tables.of_call[state.submitted.call]
        states = [tables.applications[name] for name in names]
        alive = [one for one in states if not one.is_withdrawn]
        pairs = pairing(
            [entry_of(state.submitted)],
            asked,
            closed=_closed(tables, [state], asked, alive=alive),
            bids=tables.bids,
            load=Counter(name for one in states for _, name in one.asked),
        )
        fit, open_ = pairs.fit[0].tolist(), pairs.is_open[0].tolist()
        free = [
            (load, -fit[place], name)
            for place, (name, load) in enumerate(
                zip(pairs.reviewers, pairs.load.tolist(), strict=True)
            )
            if open_[place]
        ]
        return min(free)[2] if free else Refusal.REVIEWERS_ARE_TOO_FEW

    def _replaced(
        self,
        state: ApplicationState,
        place: tuple[str, str],
        successor: str,
        cause: str,
        by: str,
        due_at_s: int = 0,
    ) -> ReviewerReplaced:
        stage, reviewer = place
        here, now_s = self.tables.calls[state.submitted.call].stage(stage), self.clock.now_s()
        if cause == "conflict":
            due_at_s = state.due_at_s.get(place, 0)
        return ReviewerReplaced(
            state.submitted.application,
            state.submitted.call,
            reviewer,
            successor,
            stage,
            cause,
            due_at_s or (_stage_due_s(here, now_s) if here else 0),
            at_s=now_s,
            by=by,
        )


def entry_of(submitted: ApplicationSubmitted) -> Entry:
    """Return an application as conflicts and affinity see it."""
    text = f"{submitted.title_ko} {submitted.title_en} {submitted.work.kind} {submitted.category}"
    houses = (submitted.organisation, *partners_of(submitted.answers))
    return Entry(submitted.application, (submitted.lead,), houses, text)


def _stage_to_assign(tables: ProgrammeTables, call: str, stage: str, now_s: int) -> Stage | Refusal:
    """Return a stage for which reviewers may be asked now, or why they may not."""
    published = tables.calls.get(call)
    if published is None:
        return Refusal.CALL_IS_UNKNOWN
    if now_s < published.closes_at_s and not published.rolling:
        return Refusal.CALL_IS_STILL_OPEN
    here = published.stage(stage)
    if here is None:
        return Refusal.STAGE_IS_UNKNOWN
    return here if here.reviewers else Refusal.STAGE_TAKES_OTHER_INPUT


def _panels(
    tables: ProgrammeTables, call: str, here: Stage, reviewers: Sequence[Reviewer] | None
) -> dict[str, tuple[str, ...]] | Refusal:
    """Choose whom to ask about each application in a stage that has nobody yet.

    Args:
        reviewers: who may be asked; None for the call's own leads, who review one another.
    """
    alive = [
        state
        for name in tables.of_call[call]
        if not (state := tables.applications[name]).is_withdrawn
    ]
    open_ = [
        state
        for state in alive
        if state.decided is None
        and not state.asked_in(here.stage)
        and standing_in(tables, state).is_in(here.stage)
    ]
    asked = _peers(alive) if reviewers is None else reviewers
    applicants = () if reviewers is None else alive
    entries = [entry_of(state.submitted) for state in open_]
    chosen: dict[str, tuple[str, ...]] | Refusal = Refusal.REVIEWERS_ARE_TOO_FEW
    for fresh in (True, False):
        # Fresh eyes where there are enough of them; otherwise those who know it already.
        closed = _closed(tables, open_, asked, alive=applicants, fresh=fresh)
        pairs = pairing(entries, asked, closed=closed, bids=tables.bids)
        chosen = assign_panels(pairs, each=here.reviewers)
        if not isinstance(chosen, Refusal):
            break
    return chosen


def _stage_due_s(stage: Stage, now_s: int) -> int:
    """Return the deadline that a stage gives to whoever is asked now; 0 for none."""
    return now_s + stage.due_days * DAY_S if stage.due_days else 0


def _pool(tables: ProgrammeTables) -> list[Reviewer]:
    return [
        Reviewer(name, one.organisation, one.areas, one.partners, one.supervised, one.suppliers)
        for name, one in sorted(tables.pool.items())
    ]


def _peers(alive: Iterable[ApplicationState]) -> list[Reviewer]:
    homes = {state.submitted.lead: state.submitted.organisation for state in alive}
    return [Reviewer(name, home) for name, home in sorted(homes.items())]


def _closed(
    tables: ProgrammeTables,
    states: Sequence[ApplicationState],
    reviewers: Sequence[Reviewer],
    *,
    alive: Iterable[ApplicationState],
    fresh: bool = True,
) -> dict[str, frozenset[str]]:
    """Return who may not review an application: by rule, declared, or (``fresh``) asked already."""
    applicants = people_of([entry_of(state.submitted) for state in alive])
    closed: dict[str, frozenset[str]] = defaultdict(frozenset)
    for state in states:
        entry = entry_of(state.submitted)
        found = {one.name for one in reviewers if conflict_of(one, entry, applicants=applicants)}
        declared = tables.conflicts.get(entry.application, {})
        before = {name for _, name in state.asked} if fresh else set()
        closed[entry.application] = frozenset({*found, *declared, *before})
    return closed
