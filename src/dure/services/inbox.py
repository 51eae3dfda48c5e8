"""What came into one call, found by what must not come twice; each look-up takes the same time."""

from collections import Counter

from dure.core.events.programme import ApplicationSubmitted

Idea = tuple[str, str]


class Inbox:
    """The applications of a call that are not withdrawn, by project, idea and institution.

    Args:
        before: what came in earlier; what is noted here stands beside it. So a transaction has one
            of its own, which is thrown away where nothing is written.
    """

    def __init__(self, before: "Inbox | None" = None) -> None:
        self._before = before
        self._of_project: dict[str, str] = {}
        self._of_idea: dict[Idea, str] = {}
        self._of_key: dict[Idea, str] = {}
        self._beside: Counter[str] = Counter()
        self._numbers = 0

    @property
    def numbers(self) -> int:
        """Return how many numbers were given, withdrawn applications included."""
        return self._numbers + (self._before.numbers if self._before else 0)

    def repeated(self, lead: str, key: str) -> str:
        """Return the application that a person handed in with a key, "" for none."""
        found = self._of_key.get((lead, key), "") if key else ""
        return found or (self._before.repeated(lead, key) if self._before and key else "")

    def twins(self, project: str, idea: Idea) -> tuple[str, ...]:
        """Return the applications of a project ("": of none), and of the same lead and title."""
        own = (self._of_project.get(project, "") if project else "", self._of_idea.get(idea, ""))
        before = self._before.twins(project, idea) if self._before else ()
        return (*before, *(one for one in own if one))

    def beside(self, organisation: str) -> int:
        """Return how many applications an institution leads."""
        return self._beside[organisation] + (
            self._before.beside(organisation) if self._before else 0
        )

    def take(self, submitted: ApplicationSubmitted, *, is_new: bool = True) -> None:
        """Note an application; its earlier version was dropped before."""
        name = submitted.application
        self._numbers += is_new
        self._of_project[submitted.project] = name
        self._of_idea[submitted.lead, submitted.title_ko] = name
        self._beside[submitted.organisation] += 1
        if submitted.key:
            self._of_key[submitted.lead, submitted.key] = name

    def drop(self, submitted: ApplicationSubmitted) -> None:
        """Forget one that was withdrawn or is replaced; its key stays."""
        name, idea = submitted.application, (submitted.lead, submitted.title_ko)
        if self._of_project.get(submitted.project) == name:
            del self._of_project[submitted.project]
        if self._of_idea.get(idea) == name:
            del self._of_idea[idea]
        self._beside[submitted.organisation] -= 1
