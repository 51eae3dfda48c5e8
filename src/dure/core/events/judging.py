"""Named events of the judging: what was put before the committee, and what it signed."""

from dure.core.events.base import Event
from dure.core.events.programme import Outcome


class ShareOutProposed(Event, frozen=True):
    """A share-out was put before the committee; nothing is decided yet.

    Attributes:
        number: 1, 2, .. within the call; each later one is a move of the committee.
        moved_by: what the committee set: ``line_milli`` (0: the call's own), ``pinned`` (selected
            whatever the score), ``excluded`` (application -> reason).
        awards: (application, decision, accelerator, GPUs, first month) in order of rank.
        value, bound: score-weighted total, and the proven upper bound of any share-out under the
            same rules and moves; thousandths of a point times GPUs (or GPU-months).
        rank_value: the same total of the plain walk down the order under the same rules.
        digest: SHA-256 of all of this; the minutes sign it.
    """

    call: str
    number: int
    rule: str
    line_milli: int
    pinned: tuple[str, ...]
    excluded: dict[str, str]
    awards: tuple[tuple[str, Outcome, str, int, int], ...]
    value: int
    bound: int
    rank_value: int
    digest: str


class MinutesSigned(Event, frozen=True):
    """The committee adopted a proposal; its ``Decided`` follow in the same transaction."""

    call: str
    number: int
    digest: str
    names: tuple[str, ...]


class ReviewerRegistered(Event, frozen=True):
    """A person is in the pool of reviewers, with what conflicts and fit are told from."""

    reviewer: str
    organisation: str
    areas: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    supervised: tuple[str, ...] = ()
    suppliers: tuple[str, ...] = ()


class BidGiven(Event, frozen=True):
    """A reviewer said how gladly: eager, willing, not, conflict. The last one counts."""

    application: str
    call: str
    reviewer: str
    bid: str


class ConflictDeclared(Event, frozen=True):
    """A reviewer may not review an application; ``kind`` is a ``core.conflicts.Conflict``."""

    application: str
    call: str
    reviewer: str
    kind: str
    reason: str


class ReviewerReplaced(Event, frozen=True):
    """Somebody else was asked in a reviewer's place. ``cause``: late or conflict."""

    application: str
    call: str
    reviewer: str
    successor: str
    stage: str
    cause: str
    due_at_s: int = 0


class LotsDrawn(Event, frozen=True):
    """The order near the line was drawn from a number that somebody else published.

    Attributes:
        number: the number as it was published; ``source`` says where and when.
        lots: (application, score by which it is served, lot), the first served first.
    """

    call: str
    number: str
    source: str
    lots: tuple[tuple[str, int, int], ...]


EVENTS: tuple[type[Event], ...] = (
    ShareOutProposed,
    MinutesSigned,
    LotsDrawn,
    ReviewerRegistered,
    BidGiven,
    ConflictDeclared,
    ReviewerReplaced,
)
