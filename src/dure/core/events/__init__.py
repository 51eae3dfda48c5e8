"""Named events: what people and rules of the programme did. The closed list is ``EVENTS``.

Facts of the engine (starts, stops, claims ...) are not here: they are columns, see ``core.record``.
Each module beside this one exports a tuple ``EVENTS`` of its own classes.
"""

from dure.core.events.applying import EVENTS as APPLYING_EVENTS
from dure.core.events.base import Event
from dure.core.events.calls import EVENTS as CALL_EVENTS
from dure.core.events.health import EVENTS as HEALTH_EVENTS
from dure.core.events.idle import EVENTS as IDLE_EVENTS
from dure.core.events.judging import EVENTS as JUDGING_EVENTS
from dure.core.events.notices import EVENTS as NOTICE_EVENTS
from dure.core.events.offers import EVENTS as OFFER_EVENTS
from dure.core.events.people import EVENTS as PEOPLE_EVENTS
from dure.core.events.programme import EVENTS as PROGRAMME_EVENTS
from dure.core.events.storage import EVENTS as STORAGE_EVENTS
from dure.core.events.supply import EVENTS as SUPPLY_EVENTS
from dure.core.events.work import EVENTS as WORK_EVENTS

EVENTS: tuple[type[Event], ...] = (
    *APPLYING_EVENTS,
    *CALL_EVENTS,
    *PEOPLE_EVENTS,
    *PROGRAMME_EVENTS,
    *OFFER_EVENTS,
    *NOTICE_EVENTS,
    *STORAGE_EVENTS,
    *JUDGING_EVENTS,
    *SUPPLY_EVENTS,
    *WORK_EVENTS,
    *HEALTH_EVENTS,
    *IDLE_EVENTS,
)

__all__ = ["EVENTS", "Event"]
