"""The inbox of a call against the dumbest search that is surely right."""

from hypothesis import given
from hypothesis import strategies as st

from dure.core.events.programme import ApplicationSubmitted, Work
from dure.services.inbox import Inbox

people, titles = st.sampled_from("abc"), st.sampled_from(["x", "y", "z"])
projects = st.sampled_from(["", "p1", "p2", "p3"])
steps = st.lists(st.tuples(people, titles, projects, st.sampled_from(["h1", "h2"]),
                           st.integers(0, 9)), max_size=40)  # fmt: skip


def submitted(name: str, lead: str, title: str, project: str, home: str) -> ApplicationSubmitted:
    return ApplicationSubmitted(
        name, "t", project or f"p-{name}", title, title, home, "academia", "", "H200", 8, 6, "",
        lead, Work(), "O", key=f"{lead}-{title}", at_s=0, by=lead,
    )  # fmt: skip


@given(steps=steps, split=st.integers(0, 40))
def test_what_must_not_come_twice_is_found_as_by_going_through_all(
    steps: list[tuple[str, str, str, str, int]], split: int
) -> None:
    inbox, alive, every = Inbox(), list[ApplicationSubmitted](), list[ApplicationSubmitted]()
    for place, (lead, title, project, home, chance) in enumerate(steps):
        if place == split:
            # From here on as within a transaction: beside what was there before.
            inbox = Inbox(inbox)
        if alive and chance == 0 and place < split:
            inbox.drop(alive.pop(0))
            continue
        idea = (lead, title)
        expected = [one.application for one in alive
                    if (project and one.project == project)
                    or (one.lead, one.title_ko) == idea]  # fmt: skip
        assert set(inbox.twins(project, idea)) == set(expected)
        assert inbox.beside(home) == sum(one.organisation == home for one in alive)
        assert inbox.numbers == len(every)
        again = [
            one.application for one in every if (one.lead, one.key) == (lead, f"{lead}-{title}")
        ]
        assert (inbox.repeated(lead, f"{lead}-{title}") in again) == bool(again)
        if not expected:
            new = submitted(f"t-{len(every) + 1:04d}", lead, title, project, home)
            inbox.take(new)
            alive.append(new)
            every.append(new)
