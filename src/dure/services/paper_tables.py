"""Drafts, attachments and requests as tables: nothing but their events folded in order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dure.core.events import Event
from dure.core.events import applying as ev
from dure.core.events.programme import ApplicationSubmitted


@dataclass(slots=True)
class DraftState:
    """A draft with its newest version; ``became`` is the application that it was handed in as."""

    saved: ev.DraftSaved
    attachments: list[ev.AttachmentAdded] = field(default_factory=list)
    is_discarded: bool = False
    became: str = ""

    @property
    def is_open(self) -> bool:
        return not self.is_discarded and not self.became


@dataclass(slots=True)
class RequestState:
    """A request; ``decided`` is None while it is open."""

    filed: ev.RequestFiled
    decided: ev.RequestDecided | None = None


class PaperTables:
    """What people write besides applications: drafts of them, and requests about awards."""

    def __init__(self) -> None:
        self.drafts: dict[str, DraftState] = {}
        self.draft_of: dict[str, str] = {}
        self.requests: dict[str, RequestState] = {}
        self._fold: dict[type[Event], Callable[[Any], None]] = {
            ev.DraftSaved: self._draft_saved,
            ev.DraftDiscarded: self._draft_discarded,
            ev.AttachmentAdded: self._attachment_added,
            ev.RequestFiled: self._request_filed,
            ev.RequestDecided: self._request_decided,
            ApplicationSubmitted: self._application_submitted,
        }

    def fold(self, event: Event) -> None:
        """Take in one event; those of other rooms pass."""
        fold = self._fold.get(type(event))
        if fold is not None:
            fold(event)

    def attached_to(self, application: str) -> list[ev.AttachmentAdded]:
        """Return the files that came with an application as it was last handed in."""
        draft = self.drafts.get(self.draft_of.get(application, ""))
        return [] if draft is None else draft.attachments

    def _draft_saved(self, event: ev.DraftSaved) -> None:
        known = self.drafts.get(event.draft)
        if known is None:
            self.drafts[event.draft] = DraftState(event)
        else:
            known.saved = event

    def _draft_discarded(self, event: ev.DraftDiscarded) -> None:
        self.drafts[event.draft].is_discarded = True

    def _attachment_added(self, event: ev.AttachmentAdded) -> None:
        state = self.drafts[event.draft]
        state.attachments = [
            one for one in state.attachments if one.attachment != event.attachment
        ] + [event]

    def _application_submitted(self, event: ApplicationSubmitted) -> None:
        if event.draft:
            self.drafts[event.draft].became = event.application
            self.draft_of[event.application] = event.draft

    def _request_filed(self, event: ev.RequestFiled) -> None:
        self.requests[event.request] = RequestState(event)

    def _request_decided(self, event: ev.RequestDecided) -> None:
        self.requests[event.request].decided = event
