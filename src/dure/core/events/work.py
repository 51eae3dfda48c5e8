"""Named events of work: what people asked of the pool's jobs."""

from dure.core.events.base import Event


class JobRequested(Event, frozen=True, kw_only=True):
    """Somebody submitted a job; the engine has not looked at it yet.

    Attributes:
        job: its id in this pool, chosen when it was submitted.
        project: the project whose allocation it draws on; "" for none.
        request: the whole request as JSON, a ``services.requests.JobRequest``.
        key: of the submission: a second one with the same key by the same user is the same job.
        provider: on whose capacity it draws if it has no project; "" for none.
    """

    job: str
    project: str = ""
    request: str = ""
    key: str = ""
    provider: str = ""


class JobCancelRequested(Event, frozen=True, kw_only=True):
    """Somebody asked that a job end, whether it waits or runs.

    Attributes:
        reason: their words, "" if they gave none.
    """

    job: str
    reason: str = ""


class NodeDrained(Event, frozen=True, kw_only=True):
    """Somebody asked that a node take no new work; what runs there runs on.

    Attributes:
        who: one of ``CORDONERS``; the node is open when each who closed it has opened it.
        reason: their words, "" if they gave none.
    """

    node: str
    who: str
    reason: str = ""


class NodeResumed(Event, frozen=True, kw_only=True):
    """Somebody lifted what the same one (``who``) had asked of a node; others' wishes stay."""

    node: str
    who: str


EVENTS: tuple[type[Event], ...] = (JobRequested, JobCancelRequested, NodeDrained, NodeResumed)
