"""A call just decided, for the script of its offers: one award is the signed-in applicant's."""

from dataclasses import replace

import msgspec

from dure.core.calendar import moment_s
from dure.services.desks import Services
from tests.portal.filled_desks import desks_over
from tests.portal.filled_programme import filled_services
from tests.services.programme_desk import CALL, OPERATOR, Desk

SIGNED_IN = "seo.yun"


class OfferWorld:
    """Six applications for 64 GPUs: the first two are selected, three wait, one is rejected."""

    def __init__(self) -> None:
        call = msgspec.structs.replace(CALL, answer_days=7)
        self.desk = Desk(call)
        leads = [SIGNED_IN, "lead1", "lead2", SIGNED_IN, "lead4", "lead5"]
        sizes = [(90, 40), (80, 24), (76, 32), (74, 16), (72, 8), (40, 8)]
        self.names = self.desk.award(*sizes, leads=leads)

    def services(self) -> Services:
        services = replace(filled_services(), **desks_over(self.desk.programme))
        services.people.led_by = self.desk.programme.led_by
        return services

    def move_to(self, day: str) -> None:
        """Let time pass up to a day's first second, and do what it decides."""
        self.desk.clock.at_s = moment_s(day)
        self.desk.programme.pass_time()

    def leave_idle(self) -> None:
        """Have March and April pass without any use, and the office check it and notify recalls."""
        for month, day in (("2026-03", "2026-04-01"), ("2026-04", "2026-05-01")):
            self.move_to(day)
            self.desk.programme.check_use(OPERATOR, month, {})
        self.desk.programme.notify_recalls(OPERATOR)
