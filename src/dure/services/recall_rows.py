"""Recalls as screens see them."""

from dure.services.programme_states import RecallState
from dure.services.programme_views import RecallRow


def recall_row(name: str, state: RecallState) -> RecallRow:
    """Return a recall as screens see it."""
    return RecallRow(
        name,
        state.noticed.project,
        state.noticed.allocation,
        state.noticed.accelerator,
        state.noticed.gpus,
        "low_use",
        state.noticed.at_s,
        state.noticed.due_at_s,
        state.outcome or state.answer or "noticed",
        ", ".join(state.handed_to),
    )
