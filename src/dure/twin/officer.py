"""The imagined office of the founding scenario: what is done and answered at midnight.

It drives the programme's own use cases. Doing a midnight twice changes nothing, so a run that was
cut off in the middle of one goes on as if it had not been.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from dure.core import columns as col
from dure.core.calendar import DAY_S, civil, month_of
from dure.core.state import Account
from dure.services.access import Actor, Role
from dure.services.programme import Programme
from dure.services.programme_states import ApplicationState, RecallState
from dure.twin.round import OPERATOR, accepted
from dure.twin.use_meter import UseMeter

# How projects answer a recall: an assumption, nothing is published. The rest is silent.
ACCEPTS, OBJECTS = 0.40, 0.15
# The office hears an objection this many days after the answer, and follows one in three.
ANSWER_DAYS, HEARING_DAYS, FOLLOWED = 2, 3, 1 / 3
ANSWER_STREAM = 7
# How projects answer an offer, some days after it: an assumption. The rest lets it lapse.
OFFER_ACCEPTED, OFFER_DECLINED = 0.90, 0.05
OFFER_DAYS_MAX = 5
OFFER_STREAM = 9


class Officer:
    """Checks use, recalls, hands over; those whom it asks answer.

    Args:
        meter: knows the use of closed months.
        accounts: gives the names of the accounts that the meter counts by.
        seed: of the projects' answers.
        from_s: when operation begins; nothing before it is checked.
    """

    def __init__(
        self,
        programme: Programme,
        meter: UseMeter,
        accounts: Callable[[], Sequence[Account]],
        *,
        seed: int,
        from_s: int,
    ) -> None:
        self._programme, self._meter, self._accounts = programme, meter, accounts
        self._seed, self._from_s = seed, from_s

    def open_day(self, midnight_s: int) -> None:
        """Do all that is due at a Korean midnight, the pool's clock standing at it."""
        programme = self._programme
        if civil(midnight_s).day == 1 and midnight_s > self._from_s:
            month = month_of(midnight_s - 1)
            programme.check_use(OPERATOR, month, self._used_gpu_s(month))
            programme.notify_recalls(OPERATOR)
        for name, recall in list(programme.tables.recalls.items()):
            if not recall.outcome:
                self._hear(name, recall, midnight_s)
        programme.carry_out_recalls(OPERATOR)
        for state in list(programme.tables.applications.values()):
            # People who apply here themselves answer themselves.
            if state.status == "offered" and state.submitted.synthetic:
                self._answer_offer(state, midnight_s)
        programme.pass_time()

    def _used_gpu_s(self, month: str) -> dict[str, int]:
        """Return what each project ran in a month, whatever the class.

        A project that borrows while its own GPUs are lent has moved its work in time, not failed
        to need its GPUs: own use alone would take them from teams that use all they hold.
        """
        metered = self._meter.month(month, 0)
        used = (metered.own + metered.borrowed) // col.WHOLE
        return {
            account.name: int(gpu_s)
            for account, gpu_s in zip(self._accounts(), used, strict=False)
            if account.kind == col.ACCOUNT_PROJECT
        }

    def _answer_offer(self, state: ApplicationState, now_s: int) -> None:
        """Let a project that is offered what came free answer when its day comes."""
        assert state.offer is not None
        application = state.submitted.application
        chance = np.random.default_rng([self._seed, OFFER_STREAM, _key(application)])
        days, answer = 1 + int(chance.random() * OFFER_DAYS_MAX), chance.random()
        if now_s < state.offer.at_s + days * DAY_S:
            return
        if answer < OFFER_ACCEPTED:
            accepted(self._programme, state)
        elif answer < OFFER_ACCEPTED + OFFER_DECLINED:
            lead = Actor(state.submitted.lead, frozenset({Role.APPLICANT}))
            self._programme.decline(lead, application, cause="no-need")

    def _hear(self, name: str, recall: RecallState, now_s: int) -> None:
        """Let the project answer when its day comes, and the office decide on an objection."""
        chance = np.random.default_rng([self._seed, ANSWER_STREAM, _key(name)])
        answers, is_followed = chance.random(), chance.random() < FOLLOWED
        noticed = recall.noticed
        if not recall.answer and now_s >= noticed.at_s + ANSWER_DAYS * DAY_S:
            answer = _answer(answers)
            granted = self._programme.tables.allocations[noticed.allocation].granted
            submitted = self._programme.tables.applications[granted.application].submitted
            lead = Actor(submitted.lead, frozenset({Role.APPLICANT}))
            if answer:
                self._programme.answer_recall(lead, name, answer)
        elif recall.answer == "objected" and now_s >= noticed.at_s + DAY_S * (
            ANSWER_DAYS + HEARING_DAYS
        ):
            if is_followed:
                self._programme.withdraw_recall(OPERATOR, name, cause="objection")
            elif now_s >= noticed.due_at_s:
                self._programme.carry_out_recall(OPERATOR, name, upheld=True)


def _answer(chance: float) -> Literal["accepted", "objected", ""]:
    if chance < ACCEPTS:
        return "accepted"
    return "objected" if chance < ACCEPTS + OBJECTS else ""


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
