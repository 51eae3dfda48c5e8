"""The judging as screens see it: rows of ``judging_views`` from the folded tables."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dure.core.calls.form import questions_of
from dure.core.calls.model import Call
from dure.core.conflicts import Reviewer
from dure.core.events.judging import ShareOutProposed
from dure.core.programme import Refusal
from dure.core.sizing import evidence
from dure.core.supply.measures import asked_in
from dure.services.access import Actor, may
from dure.services.committee import Move
from dure.services.judging_views import (
    DrawRow,
    Moved,
    ProposalRow,
    ProposedAward,
    ReviewerRow,
    ReviewPaper,
    SizingView,
)
from dure.services.programme import Programme
from dure.services.refusing import Refused, refused
from dure.services.review_rows import review_rows
from dure.services.scoring import past_use, stated_work
from dure.services.staging import judges


class JudgingScreen:
    """Answers the ``JudgingDesk`` of ``desks`` for one programme."""

    def __init__(self, programme: Programme) -> None:
        self._programme, self._tables = programme, programme.tables

    def paper(self, application: str, reviewer: str) -> ReviewPaper | None:
        state = self._tables.applications.get(application)
        if state is None or all(name != reviewer for _, name in state.asked):
            return None
        asked, call = state.submitted, self._tables.calls[state.submitted.call]
        fields = (
            ("organisation", asked.organisation),
            ("group", asked.group),
            ("region", asked.region),
            ("category", asked.category),
            ("accelerator", asked.accelerator),
            ("gpus", str(asked.gpus)),
            ("months", str(asked.months)),
            ("grade", asked.grade),
            ("work_kind", asked.work.kind),
            *_own_answers(call, asked.answers),
        )
        rows = [
            one
            for one in review_rows(self._tables, application=application)
            if one.reviewer == reviewer
        ]
        # The one that is awaited; where none is, the last.
        row = next((one for one in rows if not one.marks), rows[-1])
        here = call.stage(row.stage)
        criteria = call.rubric if here is None else asked_in(call, here)
        return ReviewPaper(
            application,
            asked.call,
            asked.title_ko,
            row.stage,
            row.due_at_s,
            tuple((name, answer) for name, answer in fields if answer and name not in call.blind),
            tuple(criteria.items()),
            row.marks,
            self.sizing(application),
        )

    def answers(self, application: str, by: Actor) -> Mapping[str, Any] | None:
        state = self._tables.applications.get(application)
        if state is None:
            return None
        call = self._tables.calls[state.submitted.call]
        if may(by, "application.read", owner=state.submitted.lead):
            return {one.field: state.answers.get(one.field) for one in questions_of(call)}
        if not judges(by, self._tables, state):
            return None
        # Where a call keeps anything blind, free text stays out, too: it may say who wrote it.
        told = ("text", "long", "table") if call.blind else ()
        return {
            one.field: state.answers.get(one.field)
            for one in questions_of(call)
            if one.field not in call.blind and (one.kind not in told or one.field == "title_ko")
        }

    def reviewers(self) -> Sequence[ReviewerRow]:
        asked = Counter(
            name for state in list(self._tables.applications.values()) for _, name in state.asked
        )
        given = Counter(
            one.reviewer
            for state in list(self._tables.applications.values())
            for one in state.reviews
        )
        return [
            ReviewerRow(name, one.organisation, one.areas, asked[name], given[name])
            for name, one in sorted(self._tables.pool.items())
        ]

    def register_reviewer(self, reviewer: Reviewer, *, by: Actor) -> ReviewerRow | Refused:
        answer = self._programme.register_reviewer(by, reviewer)
        if isinstance(answer, Refusal):
            return refused(answer)
        return next(one for one in self.reviewers() if one.reviewer == reviewer.name)

    def assign_reviewers(
        self, call: str, *, stage: str, due_at_s: int, reviewers: Mapping[str, str], by: Actor
    ) -> int | Refused:
        named = [Reviewer(name, home) for name, home in sorted(reviewers.items())]
        answer = self._programme.assign_reviewers(by, call, named, stage=stage, due_at_s=due_at_s)
        return refused(answer) if isinstance(answer, Refusal) else len(answer)

    def replace_late(self, call: str, *, due_at_s: int, by: Actor) -> int | Refused:
        answer = self._programme.replace_late(by, call, due_at_s=due_at_s)
        return refused(answer) if isinstance(answer, Refusal) else len(answer)

    def bid(self, application: str, bid: str, *, by: Actor) -> Refused | None:
        answer = self._programme.bid(by, application, bid)
        return refused(answer) if isinstance(answer, Refusal) else None

    def declare_conflict(
        self, application: str, reviewer: str, reason: str, *, by: Actor
    ) -> Refused | None:
        answer = self._programme.declare_conflict(by, application, reviewer, reason)
        return refused(answer) if isinstance(answer, Refusal) else None

    def proposals(self, call: str) -> Sequence[ProposalRow]:
        return [self._row(one) for one in list(self._tables.proposals.get(call, ()))]

    def proposed_awards(self, call: str, number: int) -> Sequence[ProposedAward] | None:
        proposal = self._find(call, number)
        if proposal is None:
            return None
        rows = []
        for rank, award in enumerate(proposal.awards, start=1):
            application, decision, accelerator, gpus, from_month = award
            submitted = self._tables.applications[application].submitted
            rows.append(
                ProposedAward(
                    rank,
                    application,
                    submitted.title_ko,
                    submitted.organisation,
                    submitted.group,
                    decision,
                    accelerator,
                    submitted.gpus,
                    gpus,
                    from_month,
                    application in proposal.pinned,
                    application in proposal.excluded,
                )
            )
        return rows

    def draw_lots(self, call: str, *, number: str, source: str, by: Actor) -> DrawRow | Refused:
        answer = self._programme.draw_lots(by, call, number=number, source=source)
        if isinstance(answer, Refusal):
            return refused(answer)
        return DrawRow(call, answer.number, answer.source, answer.lots)

    def propose(self, call: str, *, by: Actor) -> ProposalRow | Refused:
        return self._answer(self._programme.propose(by, call))

    def move(self, call: str, move: Move, *, by: Actor) -> ProposalRow | Refused:
        return self._answer(self._programme.move(by, call, move))

    def compare(self, call: str, before: int, after: int) -> Moved | Refused:
        answer = self._programme.compare(call, before, after)
        if isinstance(answer, Refusal):
            return refused(answer)
        return Moved(
            before,
            after,
            answer.comes_in,
            answer.goes_out,
            tuple((name, old, new) for name, (old, new) in answer.changes.items()),
            answer.value_lost // 1000,
        )

    def sign_minutes(
        self, call: str, *, number: int, digest: str, names: Sequence[str], by: Actor
    ) -> ProposalRow | Refused:
        answer = self._programme.sign_minutes(by, call, number=number, digest=digest, names=names)
        if isinstance(answer, Refusal):
            return refused(answer)
        return self.proposals(call)[-1]

    def sizing(self, application: str) -> SizingView | None:
        state = self._tables.applications.get(application)
        if state is None:
            return None
        asked, call = state.submitted, self._tables.calls[state.submitted.call]
        past = past_use(self._tables, asked)
        kinds = dict.fromkeys((asked.accelerator, *sorted(call.capacity)))
        found = (
            evidence(stated_work(asked), accelerator=kind, months=asked.months,
                     sizing=self._programme.sizing, past=past)
            for kind in kinds
        )  # fmt: skip
        return SizingView(
            application,
            asked.accelerator,
            asked.gpus,
            asked.months,
            call.node_gpus,
            tuple((kind, call.exchange_units.get(kind, 1)) for kind in kinds),
            tuple(one for one in found if one is not None),
        )

    def _answer(self, answer: ShareOutProposed | Refusal) -> ProposalRow | Refused:
        return refused(answer) if isinstance(answer, Refusal) else self._row(answer)

    def _find(self, call: str, number: int) -> ShareOutProposed | None:
        proposals = list(self._tables.proposals.get(call, ()))
        return next((one for one in proposals if one.number == number), None)

    def _row(self, one: ShareOutProposed) -> ProposalRow:
        decisions = Counter(decision for _, decision, *_ in one.awards)
        gpus: Counter[str] = Counter()
        for _, decision, accelerator, size, _ in one.awards:
            gpus[accelerator] += size if decision == "selected" else 0
        minutes = self._tables.minutes.get(one.call)
        is_signed = minutes is not None and minutes.number == one.number
        is_last = self._tables.last_proposal(one.call) == one
        return ProposalRow(
            one.call,
            one.number,
            one.rule,
            one.line_milli or self._tables.calls[one.call].score_min_milli,
            one.pinned,
            tuple(one.excluded.items()),
            decisions["selected"],
            decisions["waitlisted"],
            decisions["rejected"],
            tuple(sorted((kind, size) for kind, size in gpus.items() if size)),
            one.value // 1000,
            one.bound // 1000,
            one.rank_value // 1000,
            one.digest,
            one.at_s,
            one.by,
            "signed" if is_signed else "open" if is_last else "superseded",
            minutes.names if is_signed and minutes else (),
        )


def _own_answers(call: Call, answers: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield what a call itself asks for, as text; files and tables have their own place.

    Where a call keeps anything blind, free text stays out: it may say who wrote it.
    """
    hidden = ("file", "table", "text", "long") if call.blind else ("file", "table")
    beside = ("price_krw", "in_service_on") if call.kind == "supply" else ()
    own = [one.field for one in call.form if one.kind not in hidden]
    for name in (*beside, *own):
        answer = answers.get(name)
        if answer is not None:
            yield name, ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)
