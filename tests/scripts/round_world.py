"""Round 2026-1 just after it closed, for the script of its evaluation; all is imagined."""

from dataclasses import replace

import msgspec
import numpy as np

from dure.core.calendar import moment_s
from dure.core.conflicts import Reviewer
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.book import Book
from dure.services.desks import Services
from dure.services.intake import Arrival, Marked
from dure.services.programme import Programme
from dure.twin.applications import (
    imagine_applications,
    imagine_marks,
    imagine_reviewers,
    read_round,
)
from tests.portal.filled_desks import desks_over
from tests.portal.filled_programme import filled_services
from tests.services.programme_desk import OPERATOR, SetClock

CALL = "2026-1"
# The reviewer of the filled accounts is one of the pool; one of the others never answers.
SIGNED_IN, SILENT = "im.jiwon", "reviewer-60"


class RoundWorld:
    """The round with the rule ``optimum`` and four first months; time is moved by the script."""

    def __init__(self) -> None:
        self.clock, self.model = SetClock(), read_round()
        book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
        self.programme = Programme(book, self.clock)
        model, call = self.model, self.model.calls[-1]
        applications_rng, reviewers_rng, self.marks_rng = np.random.default_rng([1, 26]).spawn(3)
        terms = msgspec.structs.replace(call.terms, rule="optimum", start_months=(0, 3, 6, 9))
        self.clock.at_s = terms.opens_at_s
        self.programme.draft_call(OPERATOR, terms)
        self.programme.publish_call(OPERATOR, CALL)
        imagined = imagine_applications(model, call, applications_rng)
        arrivals = [
            Arrival(one.at_s, Actor(one.lead, frozenset({Role.APPLICANT})), one.fields)
            for one in imagined
        ]
        answers = self.programme.apply_many(CALL, arrivals, synthetic=True)
        self.worth = {}
        for one, answer in zip(imagined, answers, strict=True):
            assert not isinstance(answer, tuple)
            self.worth[answer.application] = one.worth
        people, adds = imagine_reviewers(model, reviewers_rng)
        people[0], adds[SIGNED_IN] = replace(people[0], name=SIGNED_IN), adds[people[0].name]
        self.adds = adds
        for place, person in enumerate(people):
            areas = model.fields[place % len(model.fields)]
            self.programme.register_reviewer(
                OPERATOR, Reviewer(person.name, person.organisation, areas)
            )
        self.move_to("2026-02-02")

    def services(self) -> Services:
        return replace(filled_services(), **desks_over(self.programme))

    def move_to(self, day: str) -> None:
        self.clock.at_s = moment_s(day)

    def give_marks(self) -> None:
        """Have everybody but the silent one mark what is still open."""
        marked = []
        for name, state in self.programme.tables.applications.items():
            given = {(one.stage, one.reviewer) for one in state.reviews}
            for stage, reviewer in state.asked:
                if (stage, reviewer) in given or reviewer == SILENT:
                    continue
                marks = imagine_marks(
                    self.model,
                    list(self.model.calls[-1].terms.rubric),
                    worth=self.worth[name],
                    adds=self.adds[reviewer],
                    rng=self.marks_rng,
                )
                actor = Actor(reviewer, frozenset({Role.REVIEWER}))
                marked.append(Marked(self.clock.at_s, actor, name, marks, stage))
        self.programme.review_many(marked, synthetic=True)
