"""The desks of screens over a real programme, and attachments in memory."""

from typing import Any

from dure.services.holding_desk import HoldingDesk
from dure.services.judging_screen import JudgingScreen
from dure.services.notice_desk import NoticeDesk
from dure.services.offer_desk import OfferDesk
from dure.services.office_screen import OfficeScreen
from dure.services.paper_screen import PaperScreen
from dure.services.programme import Programme
from dure.services.programme_screen import ProgrammeScreen


class KeptFiles:
    """Attachments in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        self.kept[name] = content

    def get(self, name: str) -> bytes | None:
        return self.kept.get(name)


def desks_over(programme: Programme) -> dict[str, Any]:
    """Return every desk of ``Services`` that shows a programme, by its name there."""
    return {
        "programme": ProgrammeScreen(programme),
        "office": OfficeScreen(programme),
        "papers": PaperScreen(programme, KeptFiles()),
        "judging": JudgingScreen(programme),
        "offers": OfferDesk(programme),
        "notices": NoticeDesk(programme),
        "holding": HoldingDesk(programme),
    }
