"""How the engine of a pool does, for whoever watches the platform."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """How the engine of a pool does, for ``/metrics``.

    Attributes:
        turns, failures: turns that ended well, and that did not. ledger_head: newest record.
        turn_s_sum, turn_s_max: of the turns that ended well.
        backend_troubles: attempts that the backend cannot move on right now.
    """

    turns: int
    failures: int
    turn_s_sum: float
    turn_s_max: float
    ledger_head: int
    backend_troubles: int
