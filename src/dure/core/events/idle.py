"""Named events of GPUs that a running job holds and leaves idle."""

from typing import Literal

from dure.core.events.base import Event

Answer = Literal["justified", "extended", "released"]


class IdleRuleSet(Event, frozen=True, kw_only=True):
    """The rule has these numbers for a project from now on; "" is everybody else's.

    Attributes:
        threshold_milli: below this utilisation, in thousandths, a GPU is idle; 0 switches the rule
            off. window_s: for so long. grace_s: not counted after a start. notice_s: from the
            notice until the GPUs are taken.
    """

    project: str
    threshold_milli: int
    window_s: int
    grace_s: int
    notice_s: int


class IdleNoticed(Event, frozen=True, kw_only=True):
    """A job was seen to hold GPUs idle; its people were told. This is the evidence.

    Attributes:
        gpus: how many of the job's were idle for the whole window; of them ``node`` and ``device``
            is the idlest, with ``busy_milli_max`` the most it was used.
        from_s, to_s: the window. samples: measurements in it, of that GPU.
        due_at_s: then the GPUs are taken, unless the people answer or the job works again.
    """

    case: str
    job: str
    project: str
    user: str
    gpus: int
    gpus_held: int
    node: str
    device: int
    busy_milli_max: int
    threshold_milli: int
    samples: int
    from_s: int
    to_s: int
    due_at_s: int


class IdleAnswered(Event, frozen=True, kw_only=True):
    """The job's people said why (``justified``), asked for time, or let the GPUs go."""

    case: str
    job: str
    answer: Answer
    until_s: int
    text: str = ""


class IdleWithdrawn(Event, frozen=True, kw_only=True):
    """Nothing is taken: the job works again (``busy``), is over (``ended``), or what its people
    asked for has ``expired`` and they are told anew.
    """

    case: str
    job: str
    cause: Literal["busy", "ended", "expired"]


class IdleTaken(Event, frozen=True, kw_only=True):
    """The job is told to save and leave by ``stop_by_s``; it waits again, its GPUs are lent."""

    case: str
    job: str
    stop_by_s: int


class IdleStopped(Event, frozen=True, kw_only=True):
    """The job had its time to save and is stopped."""

    case: str
    job: str


EVENTS: tuple[type[Event], ...] = (
    IdleRuleSet,
    IdleNoticed,
    IdleAnswered,
    IdleWithdrawn,
    IdleTaken,
    IdleStopped,
)
