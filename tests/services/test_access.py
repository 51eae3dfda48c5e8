"""Who may do what: no is the default."""

import pytest

from dure.services.access import ACCESS, PUBLIC_ACTOR, Actor, Forbidden, Role, may, require

LEAD = Actor("lead", frozenset({Role.APPLICANT}), frozenset({"p-1"}))


def test_an_action_that_is_not_listed_is_for_nobody() -> None:
    everything = Actor("root", frozenset(Role))

    assert not may(everything, "no.such.action")


def test_an_owner_acts_on_its_own_only() -> None:
    assert may(LEAD, "allocation.return", owner="p-1")
    assert not may(LEAD, "allocation.return", owner="p-2")
    assert not may(LEAD, "allocation.return")
    assert not may(LEAD, "allocation.return", owner="")


def test_a_visitor_reads_what_is_public_and_nothing_else() -> None:
    public = {action for action in ACCESS if may(PUBLIC_ACTOR, action, owner="")}

    assert public == {action for action, roles in ACCESS.items() if Role.PUBLIC in roles}
    assert not any(action.endswith((".decide", ".grant", ".submit")) for action in public)


def test_a_reader_cannot_change_anything() -> None:
    auditor = Actor("audit", frozenset({Role.AUDITOR}))
    changing = ("publish", "decide", "grant", "carry_out", "notify", "assign", "withdraw", "check")

    assert [one for one in ACCESS if one.endswith(changing) and may(auditor, one)] == []


def test_forbidden_names_the_action_and_who_may() -> None:
    with pytest.raises(Forbidden, match=r"lead \(applicant\) may not do award\.decide; it is for"):
        require(LEAD, "award.decide")
