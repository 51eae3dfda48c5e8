"""Reviews as screens see them: what each reviewer was asked, and the marks that came back."""

from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.programme_views import ReviewRow
from dure.services.views import NEVER_S


def review_rows(tables: ProgrammeTables, *, application: str = "") -> list[ReviewRow]:
    """Return a row for each reviewer of each application, or of one, in order of arrival."""
    if application:
        states = [tables.applications[application]] if application in tables.applications else []
    else:
        states = list(tables.applications.values())
    return [
        _row(tables, state, reviewer, stage)
        for state in states
        for reviewer, stage in sorted((reviewer, stage) for stage, reviewer in state.asked)
    ]


def _row(tables: ProgrammeTables, state: ApplicationState, reviewer: str, stage: str) -> ReviewRow:
    asked = state.submitted
    here = tables.calls[asked.call].stage(stage)
    own = [one for one in state.reviews if (one.stage, one.reviewer) == (stage, reviewer)]
    given = own[0] if own else None
    return ReviewRow(
        asked.application,
        asked.call,
        asked.title_ko,
        asked.accelerator,
        asked.gpus,
        reviewer,
        stage,
        tuple(given.marks.items()) if given else (),
        given.at_s if given else NEVER_S,
        state.due_at_s.get((stage, reviewer), 0) or NEVER_S,
        given.is_late if given else False,
        here is not None and here.passes == "majority",
        given is not None or reviewer in state.votes.get(stage, {}),
    )
