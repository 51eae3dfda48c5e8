"""A real programme, empty, on the eve of two supply calls; marks and other bidders are imagined.

Names, sizes, shares for public use and dates are those published of 2025 (national-pool.yaml);
prices, the fourth bidder's figures and all marks are not, and are made up here.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dure.core.calendar import moment_s
from dure.core.calls.model import Call
from dure.core.conflicts import Reviewer
from dure.core.events import Event
from dure.core.events.applying import AttachmentAdded
from dure.core.events.health import NodeRepaired, TicketOpened
from dure.core.events.programme import AllocationGranted, ApplicationSubmitted
from dure.core.events.supply import SupplyAgreed, SupplyOffer
from dure.core.supply.delivering import expand_nodes
from dure.core.supply.measures import asked_in
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.book import Book
from dure.services.desks import Services
from dure.services.intake import Marked
from dure.services.programme import Programme
from dure.services.requests.call_yaml import read_call
from dure.services.supply_screen import SupplyScreen
from dure.services.views import NO_JOB
from tests.portal.filled import founding_view
from tests.portal.filled_desks import desks_over
from tests.portal.filled_programme import EXAMPLE_CALLS, filled_services
from tests.portal.visiting import USER_OF
from tests.services.programme_desk import OPERATOR, SetClock

CALL = "procurement-2025"
MKRW = 10**6
# Type, GPUs, price, largest cluster, public share, cooling, in service on.
Figures = tuple[str, int, int, int, int, str, str]
NAVER: Figures = ("H200", 3_056, 281_000 * MKRW, 255, 75, "air", "2025-12-01")
# The three besides the signed-in provider.
OTHERS: Mapping[str, Figures] = {
    "NHN클라우드": ("B200", 7_656, 880_000 * MKRW, 510, 80, "liquid", "2026-03-31"),
    "카카오": ("B200", 2_424, 280_000 * MKRW, 255, 84, "liquid", "2026-03-31"),
    "쿠팡": ("B200", 2_048, 240_000 * MKRW, 128, 80, "air", "2026-03-31"),
}
REVIEWERS = [Reviewer(f"r{place}", f"평가기관-{place}", ("cloud",)) for place in range(1, 8)]
# What reviewers think of each plan, points; a reviewer adds up to 3 either way.
WORTH = {"NHN클라우드": 86, "카카오": 82, "네이버클라우드": 90, "쿠팡": 70}


class SupplyWorld:
    """Time is moved by the script; ``bids``, ``marks`` and ``vacate`` are its words besides."""

    def __init__(self) -> None:
        self.clock, self.view = SetClock(), founding_view()
        self.clock.at_s = moment_s("2025-01-20")
        book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
        self.programme = Programme(book, self.clock)
        for reviewer in REVIEWERS:
            self.programme.register_reviewer(OPERATOR, reviewer)
        # What projects are entitled to of the H200 once they are in service.
        self.programme.book.append(
            [
                AllocationGranted(
                    "a-1", "2026-1", "", "p-1", "H200", 2_000, moment_s("2026-03-09"),
                    moment_s("2028-03-09"), at_s=self.clock.at_s, by="operator",
                )
            ]
        )  # fmt: skip

    def services(self) -> Services:
        programme = self.programme
        self.platform = replace(
            filled_services(),
            **desks_over(programme),
            supply=SupplyScreen(programme, lambda: self.view),
        )
        return self.platform

    def move_to(self, day: str) -> None:
        self.clock.at_s = moment_s(day)

    def hand_in_bids(self) -> None:
        """Have the other providers hand their proposals in."""
        for place, (name, figures) in enumerate(OTHERS.items(), start=2):
            who = Actor(f"bidder-{place}", frozenset({Role.PROVIDER}), provider=f"bidder-{place}")
            self.hand_in(name, who, figures)

    def hand_in(self, name: str, who: Actor, figures: Figures) -> None:
        kind, gpus, price_krw, nodes, public, cooling, on = figures
        paper = hashlib.sha256(name.encode()).hexdigest()
        fields = {
            "title_ko": f"{name} 제안",
            "organisation": name,
            "accelerator": kind,
            "gpus": gpus,
            "price_krw": price_krw,
            "in_service_on": on,
            "nodes_of_largest_cluster": nodes,
            "public_percent": public,
            "cooling": cooling,
            "security": "middle",
            "proposal": paper,
        }
        saved = self.programme.save_draft(who, CALL, fields)
        draft = saved.draft  # type: ignore[union-attr]
        file = AttachmentAdded(draft, paper, "제안서.pdf", "pdf", 1, at_s=0, by="")
        self.programme.attach(who, draft, file)
        answer = self.programme.submit_draft(who, draft)
        assert isinstance(answer, ApplicationSubmitted), answer

    def give_marks(self) -> None:
        """Have everybody mark what reviewers mark, in the stage that is open."""
        tables = self.programme.tables
        terms = tables.calls[CALL]
        marked = []
        for name, state in tables.applications.items():
            given = {(one.stage, one.reviewer) for one in state.reviews}
            for place, (stage, reviewer) in enumerate(state.asked):
                if (stage, reviewer) in given:
                    continue
                here = terms.stage(stage)
                assert here is not None
                points = WORTH[state.submitted.organisation] + place % 7 - 3
                marks = dict.fromkeys(asked_in(terms, here), points)
                actor = Actor(reviewer, frozenset({Role.REVIEWER}))
                marked.append(Marked(self.clock.at_s, actor, name, marks, stage))
        self.programme.review_many(marked, synthetic=True)

    def end_work(self) -> None:
        """Let everything that runs in the pool end."""
        self.view = replace(self.view, device_job=np.full_like(self.view.device_job, NO_JOB))

    def break_nodes(self, nodes: str, from_: str, to: str) -> None:
        """Let nodes be broken from one day to another, as their tickets tell."""
        from_s, to_s = moment_s(from_), moment_s(to)
        events: list[Event] = []
        for name in expand_nodes([nodes]):
            ticket = f"k-{name}"
            events += [
                TicketOpened(
                    at_s=from_s, by="rule:health", ticket=ticket, node=name, cause="silent",
                    provider="naver-cloud", fault_at_s=from_s, action="reboot",
                ),
                NodeRepaired(at_s=to_s, by="bae.jun", ticket=ticket, node=name, done="reboot",
                             until_s=to_s),
            ]  # fmt: skip
        self.programme.book.append(events)

    def work_for(self, provider: str) -> None:
        """Let the signed-in provider's person work for another provider."""
        user = USER_OF[Role.PROVIDER]
        self.platform.people.change_roles(
            user, [Role.PROVIDER], provider=provider, projects=(), by="test"
        )

    def agree(self) -> None:
        """Take the procurement from its announcement to the agreement with the first bidder."""
        programme, naver = (
            self.programme,
            Actor("bae.jun", frozenset({Role.PROVIDER}), provider="naver-cloud"),
        )
        self._publish()
        self.hand_in("네이버클라우드", naver, NAVER)
        self.hand_in_bids()
        self.move_to("2025-06-24")
        names = programme.tables.of_call[CALL]
        for stage in programme.tables.calls[CALL].stages:
            if stage.reviewers:
                programme.assign_reviewers(OPERATOR, CALL, stage=stage.stage)
                self.give_marks()
                programme.close_stage(OPERATOR, CALL, stage.stage)
                continue
            for name in names:
                if stage.passes == "decision":
                    programme.conclude(OPERATOR, name, stage.stage, outcome="passed")
                else:
                    items = dict.fromkeys(stage.checklist, True)
                    programme.tick(OPERATOR, name, stage.stage, items)
        self.move_to("2025-07-28")
        programme.decide(OPERATOR, CALL)
        opened = programme.open_negotiation(OPERATOR, provider="naver-cloud", application=names[0])
        offer = SupplyOffer("H200", 3_056, 276_000 * MKRW, 64, 75)
        made = programme.offer(naver, opened.negotiation, offer)  # type: ignore[union-attr]
        agreed = programme.agree(
            OPERATOR,
            made.negotiation,
            digest=made.digest,
            names=("박본부장", "최대표"),  # type: ignore[union-attr]
        )
        assert isinstance(agreed, SupplyAgreed), agreed

    def _publish(self) -> None:
        text = (EXAMPLE_CALLS / f"{CALL}.yaml").read_text(encoding="utf-8")
        call = read_call(text, CALL)
        assert isinstance(call, Call), call
        self.move_to("2025-05-22")
        self.programme.draft_call(OPERATOR, call)
        self.programme.publish_call(OPERATOR, CALL)
        self.move_to("2025-06-10")
