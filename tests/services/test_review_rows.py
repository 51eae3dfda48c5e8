"""Reviews as screens see them, over the real use cases."""

from dure.services.desks import ProgrammeDesk, Refused
from dure.services.programme_screen import ProgrammeScreen
from dure.services.programme_views import FieldProblem, ReviewRow
from tests.services.programme_desk import CLOSES_S, OPERATOR, REVIEWERS, Desk, reviewer_actor


def test_a_review_is_asked_for_given_once_and_shown() -> None:
    desk = Desk()
    desk.publish()
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS)
    screen: ProgrammeDesk = ProgrammeScreen(desk.programme)
    first = screen.reviews()[0]
    marks = dict.fromkeys(desk.call.rubric, 80)

    stranger = screen.review(name, marks, by=reviewer_actor("nobody"))
    given = screen.review(name, marks, by=reviewer_actor(first.reviewer))
    again = screen.review(name, marks, by=reviewer_actor(first.reviewer))

    assert (first.application, first.marks, first.gpus_asked) == (name, (), 8)
    assert stranger == Refused((FieldProblem("", "ReviewerIsNotAssigned", {}),))
    assert isinstance(given, ReviewRow)
    assert (dict(given.marks), given.given_at_s) == (marks, CLOSES_S)
    assert again == Refused((FieldProblem("", "ReviewIsGiven", {}),))
    assert [row.given_at_s for row in screen.reviews() if row.marks] == [CLOSES_S]
