"""A small programme on a ledger in memory: a call, people, a clock that tests set."""

from collections.abc import Sequence

from dure.core.calendar import DAY_S, moment_s
from dure.core.calls.model import Call, Words, usual_stages
from dure.core.conflicts import Reviewer
from dure.core.events.calls import CallDrafted
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Refusal
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.awarding import Agreement
from dure.services.book import Book
from dure.services.programme import Programme

OPENS_S, CLOSES_S = moment_s("2026-01-05"), moment_s("2026-01-31")
STARTS_S = moment_s("2026-03-01")
OPERATOR = Actor("operator", frozenset({Role.OPERATOR}))
REVIEWERS = [Reviewer(f"r{place}", f"review-org-{place}") for place in range(4)]
CALL = Call(
    call="t",
    name=Words("시험", "test"),
    opens_at_s=OPENS_S,
    closes_at_s=CLOSES_S,
    starts_at_s=STARTS_S,
    capacity={"H200": 64},
    caps={"H200": 64},
    rubric={"impact": 60, "ecosystem": 40},
    tracks={"academia": "public", "industry": "industry"},
    score_min_milli=60_000,
    stages=usual_stages(2),
)


class SetClock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at_s = OPENS_S

    def now_s(self) -> int:
        return self.at_s


class Desk:
    """A programme with its clock and ledger, and shortcuts for the usual way."""

    def __init__(self, call: Call = CALL, ledger: MemoryLedger | None = None) -> None:
        self.clock = SetClock()
        self.ledger = ledger or MemoryLedger()
        book = Book(self.ledger, encode=encode_events, decode=decode_events)
        self.programme = Programme(book, self.clock)
        self.call = call

    def publish(self) -> None:
        drafted = self.programme.draft_call(OPERATOR, self.call)
        assert isinstance(drafted, CallDrafted), drafted
        published = self.programme.publish_call(OPERATOR, self.call.call)
        assert not isinstance(published, Refusal), published

    def apply(self, lead: str, gpus: int, months: int = 12) -> str:
        answer = self.programme.apply(applicant(lead), self.call.call, form(lead, gpus, months))
        assert isinstance(answer, ApplicationSubmitted), answer
        return answer.application

    def award(
        self, *points_and_sizes: tuple[int, int], leads: Sequence[str] | None = None
    ) -> list[str]:
        """Take applications of (points, GPUs) to the decision; return their ids."""
        self.publish()
        whose = leads or [f"lead{place}" for place in range(len(points_and_sizes))]
        names = [
            self.apply(lead, gpus) for lead, (_, gpus) in zip(whose, points_and_sizes, strict=True)
        ]
        self.clock.at_s = CLOSES_S
        self.programme.assign_reviewers(OPERATOR, self.call.call, REVIEWERS)
        for name, (points, _) in zip(names, points_and_sizes, strict=True):
            self.review_all(name, points)
        decided = self.programme.decide(OPERATOR, self.call.call)
        assert not isinstance(decided, Refusal), decided
        return names

    def review_all(self, application: str, points: int) -> None:
        for _, reviewer in self.programme.tables.applications[application].asked:
            marks = dict.fromkeys(self.call.rubric, points)
            self.programme.review(reviewer_actor(reviewer), application, marks)

    def accept(self, application: str) -> object:
        """Have the lead read the agreement and sign it."""
        lead = self.programme.tables.applications[application].submitted.lead
        agreement = self.programme.agreement(application)
        assert isinstance(agreement, Agreement), agreement
        return self.programme.accept(
            applicant(lead), application, name=lead, digest=agreement.digest
        )

    def grant(self) -> None:
        """Have everybody sign the day before the start, those who wait ahead of their turn."""
        self.clock.at_s = STARTS_S - DAY_S
        for name in self.programme.tables.of_call[self.call.call]:
            if self.programme.tables.applications[name].status in ("offered", "waitlisted"):
                assert isinstance(self.accept(name), tuple)
        self.clock.at_s = STARTS_S

    def statuses(self, names: Sequence[str]) -> list[str]:
        return [self.programme.tables.applications[name].status for name in names]


def applicant(lead: str, *projects: str) -> Actor:
    return Actor(lead, frozenset({Role.APPLICANT}), frozenset(projects))


def reviewer_actor(name: str) -> Actor:
    return Actor(name, frozenset({Role.REVIEWER}))


def form(lead: str, gpus: int, months: int = 12) -> dict[str, object]:
    return {
        "title_ko": f"{lead}의 과제 {gpus}",
        "organisation": f"org-{lead}",
        "group": "academia",
        "accelerator": "H200",
        "gpus": gpus,
        "months": months,
    }
