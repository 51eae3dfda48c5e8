"""What every named event has: a moment and a cause."""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A fact in the past tense, complete by itself.

    Events are encoded as JSON objects tagged with their class name. Fields are added with a
    default; none is ever renamed, reused or removed.

    Attributes:
        at_s: when it happened, on the pool's clock.
        by: who caused it: a user's name, or ``rule:NAME`` for a rule of the programme.
    """

    at_s: int
    by: str
