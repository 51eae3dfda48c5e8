"""What goes over the wire of measuring, sick nodes and idle GPUs; as in ``api.schemas``."""

from typing import Literal

import msgspec


class UsePointOut(msgspec.Struct, frozen=True):
    """A period's measurements; null where nothing was measured."""

    at_s: int
    busy_milli: int | None
    cpu_milli: int | None
    memory_mib: int | None
    power_w: int | None


class JobUseOut(msgspec.Struct, frozen=True):
    """What a job was measured to use; ``length_s`` is each point's period."""

    job: str
    length_s: int
    busy_milli: int | None
    busy_milli_min: int | None
    cpu_milli: int | None
    energy_kj: int | None
    points: list[UsePointOut]


class TicketOut(msgspec.Struct, frozen=True):
    """A repair that a provider is asked for; ``before``: repairs that did not help."""

    ticket: str
    node: str
    provider: str
    state: str
    cause: str
    device: int | None
    xid: int | None
    action: str
    before: int
    opened_at_s: int
    fault_at_s: int
    repaired_at_s: int | None
    until_s: int | None
    done: str
    note: str


class RepairAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done (``RESET_GPU``, ``RESTART_NODE``, ``DIAGNOSE`` or ``INSPECT``)."""

    done: str
    note: str = ""


class CareOut(msgspec.Struct, frozen=True):
    answer: str


class IdleCaseOut(msgspec.Struct, frozen=True):
    """A notice that a job holds GPUs idle, with its evidence and what came of it."""

    case: str
    job: str
    project: str
    state: str
    gpus: int
    gpus_held: int
    node: str
    device: int
    busy_milli_max: int
    threshold_milli: int
    samples: int
    from_s: int
    to_s: int
    noticed_at_s: int
    due_at_s: int
    answer: str
    answered_by: str
    text: str
    until_s: int | None
    stop_by_s: int | None
    cause: str


class IdleAnswerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job's people say: a reason, a wish for time, or that the GPUs may go."""

    answer: Literal["justified", "extended", "released"]
    text: str = ""


class IdleRuleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule of a project, "" for everybody without one; ``threshold_milli`` 0: off."""

    threshold_milli: int
    window_s: int
    grace_s: int
    notice_s: int
    project: str = ""


class AccountingIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider's accounting of a month: GPU-seconds by project; ``source``: its SHA-256."""

    month: str
    provider: str
    gpu_s: dict[str, int]
    source: str = ""


class ComparedOut(msgspec.Struct, frozen=True):
    """A project in both books; ``differs``: it was raised, and is in the ledger."""

    who: str
    ours_gpu_s: int
    theirs_gpu_s: int
    difference_milli: int
    differs: bool
