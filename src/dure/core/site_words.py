"""What a site's agent and the engine tell one another: orders one way, reports the other.

The agent asks, the engine answers; nobody calls the site. An order may come twice and a report may
go twice: both have numbers, and both sides know an attempt by its job and number.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_readings import Reading

# Beside those of ``core.orders``: the order was taken back before anybody had heard it.
SITE_OUT_OF_REACH: Final = "SiteOutOfReach"
# A line to a session begins with a byte of the agent's: somebody listens there, or nobody yet.
LISTENS: Final = b"+"
NOBODY: Final = b"-"
# Of each stream of an attempt so much is mirrored at the centre; the rest stays at the site.
MIRROR_BYTES_MAX: Final = 8 << 20


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Start an attempt."""

    order: StartOrder


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Tell an attempt to save: it is stopped at ``stop_by_s`` at the latest."""

    job: str
    attempt: int
    stop_by_s: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Stop an attempt now."""

    job: str
    attempt: int


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """The ledger holds the end of this attempt: it need not be reported any more."""

    job: str
    attempt: int


Order = Start | Notice | Stop | Forget


class NumberedOrder(msgspec.Struct, frozen=True):
    """An order; numbers grow within a generation of the engine, not without gaps."""

    number: int
    order: Order


class Ended(msgspec.Struct, frozen=True):
    """An attempt is over, and what was found when it was cleaned up after.

    Attributes:
        number: grows with each report of this agent's memory.
        evidence: as ``Driver.clean`` returned it.
    """

    number: int
    receipt: Receipt
    evidence: dict[str, Any]


class NotStarted(msgspec.Struct, frozen=True):
    """The order of this number could not be carried out; nothing was started."""

    number: int
    job: str
    attempt: int
    reason: str


class Printed(msgspec.Struct, frozen=True):
    """A piece of what an attempt printed; ``stream`` is ``out`` or ``err``."""

    job: str
    attempt: int
    stream: str
    offset: int
    content: bytes = b""


class Held(msgspec.Struct, frozen=True):
    """How many bytes of a stream the centre has."""

    job: str
    attempt: int
    stream: str
    size: int


class Call(msgspec.Struct, frozen=True):
    """A line to a session is wanted: the agent opens one, by which it names this token once."""

    job: str
    attempt: int
    token: str


class SiteNode(msgspec.Struct, frozen=True):
    """A node as its site names it."""

    node: str
    cluster: str
    leaf: str
    pod: str
    accelerator: str
    gpus: int
    cpu_milli: int
    memory_mib: int


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says; it is answered by ``Answer``.

    Attributes:
        agent: name of the agent's memory, made when it was first started.
        run: how often it was started. count: of pushes in this run; both only grow.
        generation: the engine's, as last heard; 0 for none.
        taken: number of the last order of this generation that was carried out.
        reports: ends that the engine does not have yet, by number.
        refused: orders up to ``taken`` that could not be carried out.
        nodes: what the backend says of its nodes; None if nothing changed.
        printed: pieces of output.
        inventory: all nodes of the site; None once the engine has them.
        readings: what the site's meter measured, by number.
    """

    agent: str
    run: int
    count: int
    generation: int
    taken: int
    reports: list[Ended] = []
    refused: list[NotStarted] = []
    nodes: list[NodeReport] | None = None
    printed: list[Printed] = []
    inventory: list[SiteNode] | None = None
    readings: list[Reading] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine says.

    Attributes:
        generation: its own. One who named another is told this and nothing else; the push counts
            as not said.
        run, count: of the push that is answered, so that an old answer fits no new push.
        kept: number of the last report that the engine has.
        orders: those above ``taken``, or the first of them.
        measured: number of the last reading of this run that was taken.
        calls: every line that is wanted and was not fetched yet; one may come several times.
    """

    generation: int
    run: int
    count: int
    kept: int = 0
    orders: list[NumberedOrder] = []
    held: list[Held] = []
    measured: int = 0
    calls: list[Call] = []


class NoLine(Enum):
    """Why there is no line to a session that may well listen. The values are stable: pages
    translate them.
    """

    SITE_IS_SILENT = "site_is_silent"
    TOO_MANY_LINES = "too_many_lines"


class PushRefusal(Enum):
    """Why a push with the right key was not taken."""

    NOT_LEADING = "NotLeading"
    STALE = "StalePush"
    OTHER_AGENT = "OtherAgent"


def line_words(token: str) -> bytes:
    """Return over what both sides make their seals when a line is fetched."""
    return b"dure line\0" + token.encode(errors="replace")


def encoded(message: Push | Answer) -> bytes:
    """Return a message as JSON."""
    return msgspec.json.encode(message, enc_hook=plain)


def push_of(body: bytes) -> Push:
    """Read what an agent says. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(body, type=Push)


def answer_of(body: bytes) -> Answer:
    """Read what the engine says. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(body, type=Answer)


def plain(value: object) -> object:
    """Return what JSON has for a value of ours that it does not know."""
    # An empty environment is a read-only mapping.
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(type(value))
