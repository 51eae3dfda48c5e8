"""The office's desk as screens use it: files of calls, and the board of stages."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from dure.core.calls.model import Call, Stage
from dure.core.calls.stages import NOTHING, Act, OpenStage, Outcome, interim_of, way_of
from dure.core.events.calls import CallDrafted
from dure.core.events.programme import CallPublished
from dure.core.programme import Problem, Refusal
from dure.services.access import PUBLIC_ACTOR, Actor, Role, require
from dure.services.office_views import BoardRow, DraftRow, StageRow, StageSum
from dure.services.programme import Programme
from dure.services.programme_states import ApplicationState
from dure.services.programme_views import FieldProblem
from dure.services.refusing import Refused, refused
from dure.services.requests.call_yaml import Mistake, read_call, write_call
from dure.services.staging import answers_for, standing_in
from dure.services.views import NEVER_S, Name

INTERIM_RULE = Actor("rule:interim", frozenset({Role.OPERATOR}))


class OfficeScreen:
    """Answers the ``OfficeDesk`` of ``desks`` for one programme."""

    def __init__(self, programme: Programme) -> None:
        self._programme, self._tables = programme, programme.tables

    def drafts(self) -> Sequence[DraftRow]:
        return [self._draft_row(drafts[-1]) for drafts in list(self._tables.drafts.values())]

    def is_published(self, call: str) -> bool:
        return call in self._tables.calls

    def call_file(self, call: str, *, newest: bool) -> str | None:
        """Return a call as its file: as it was published, or its newest draft."""
        published = self._tables.calls.get(call)
        terms = self._programme.call_terms(call) if newest else published
        return None if terms is None else write_call(terms)

    def draft_call(self, text: str, *, by: Actor) -> DraftRow | Refused:
        require(by, "call.draft")
        call = read_call(text, "the file")
        if not isinstance(call, Call):
            return Refused(tuple(_mistake(one) for one in call))
        return self._drafted(self._programme.draft_call(by, call))

    def copy_call(self, call: str, name: str, *, by: Actor) -> DraftRow | Refused:
        return self._drafted(self._programme.copy_call(by, call, name))

    def publish_call(self, call: str, *, by: Actor) -> DraftRow | Refused:
        answer = self._programme.publish_call(by, call)
        if not isinstance(answer, CallPublished):
            return refused(answer)
        return self._draft_row(self._tables.drafts[call][-1])

    def board(self, call: str) -> Sequence[BoardRow] | None:
        if call not in self._tables.calls:
            return None
        return [self._board_row(self._tables.applications[name])
                for name in list(self._tables.of_call[call])]  # fmt: skip

    def way(self, application: str, *, by: Actor = PUBLIC_ACTOR) -> BoardRow | None:
        state = self._tables.applications.get(application)
        return None if state is None else self._board_row(state, by)

    def awaited(self, by: Actor) -> Sequence[BoardRow]:
        """Return the applications in which something waits for this person, but for marks."""
        rows = (self._board_row(state, by) for state in self._open_states())
        return [row for row in rows if any(one.mine for one in row.stages)]

    def stages(self, call: str) -> Sequence[StageSum]:
        """Return a call's stages in order, with how many applications are where."""
        terms, board = self._tables.calls.get(call), self.board(call) or ()
        counted = [row for row in board if row.status not in ("withdrawn", "declined", "lapsed")]
        return [_stage_sum(stage, counted) for stage in (terms.stages if terms else ())]

    def _open_states(self) -> Iterator[ApplicationState]:
        for state in list(self._tables.applications.values()):
            if not state.is_withdrawn and (state.decided is None or state.allocation):
                yield state

    def close_stage(self, call: str, stage: str, *, by: Actor) -> int | Refused:
        """Compare the applications in a stage; return how many passed."""
        answer = self._programme.close_stage(by, call, stage)
        if isinstance(answer, Refusal):
            return refused(answer)
        return sum(one.outcome == "passed" for one in answer)

    def decide(self, call: str, *, by: Actor) -> int | Refused:
        """Decide on a call; return on how many applications."""
        answer = self._programme.decide(by, call)
        return refused(answer) if isinstance(answer, Refusal) else len(answer)

    def tick(
        self, application: str, stage: str, items: Mapping[str, bool], *, note: str, by: Actor
    ) -> BoardRow | Refused:
        answer = self._programme.tick(by, application, stage, items, note=note)
        return self._done(application, answer)

    def vote(
        self, application: str, stage: str, *, recognises: bool, cause: str, by: Actor
    ) -> BoardRow | Refused:
        answer = self._programme.vote(by, application, stage, recognises=recognises, cause=cause)
        return self._done(application, answer)

    def conclude(
        self, application: str, stage: str, *, outcome: Outcome, cause: str, by: Actor
    ) -> BoardRow | Refused:
        answer = self._programme.conclude(by, application, stage, outcome=outcome, cause=cause)
        return self._done(application, answer)

    def withdraw(self, application: str, *, by: Actor) -> BoardRow | Refused:
        return self._done(application, self._programme.withdraw(by, application))

    def _done(self, application: str, answer: object) -> BoardRow | Refused:
        if isinstance(answer, Refusal):
            return refused(answer)
        # What an interim stage held back is granted by its rule, whoever concluded it.
        self._programme.release(INTERIM_RULE)
        return self._board_row(self._tables.applications[application])

    def _drafted(self, answer: CallDrafted | tuple[Problem, ...] | Refusal) -> DraftRow | Refused:
        if isinstance(answer, CallDrafted):
            return self._draft_row(answer)
        return refused(answer)

    def _draft_row(self, draft: CallDrafted) -> DraftRow:
        terms, published = draft.terms, self._tables.calls.get(draft.call)
        status = "draft"
        if published is not None:
            status = "published" if published.version == draft.version else "changed"
        name = Name(terms.name.ko, terms.name.en)
        return DraftRow(
            draft.call, name, terms.kind, draft.version, status, draft.source, draft.at_s
        )

    def _board_row(self, state: ApplicationState, by: Actor = PUBLIC_ACTOR) -> BoardRow:
        submitted = state.submitted
        call = self._tables.calls[submitted.call]
        way = [stage for group in way_of(call, state.answers) for stage in group]
        interim = interim_of(call, state.answers)
        if interim is not None:
            way.append(interim)
        standing = standing_in(self._tables, state)
        open_ = {one.stage.stage: one for one in standing.open}
        return BoardRow(
            submitted.application,
            submitted.call,
            submitted.title_ko,
            submitted.organisation,
            submitted.lead,
            state.status,
            tuple(_stage_row(state, stage, open_.get(stage.stage), call, by) for stage in way),
        )


def _stage_row(
    state: ApplicationState, stage: Stage, here: OpenStage | None, call: Call, by: Actor
) -> StageRow:
    end = state.concluded.get(stage.stage)
    facts = state.stage_facts(call).get(stage.stage, NOTHING)
    is_alive = not state.is_withdrawn and (state.decided is None or stage.kind == "interim")
    is_open = end is None and here is not None and is_alive
    word = "open" if is_open else "ahead" if end is None else end.outcome
    return StageRow(
        stage.stage,
        stage.kind,
        None if stage.name is None else Name(stage.name.ko, stage.name.en),
        stage.role,
        stage.passes,
        word,
        tuple((need.value, count) for need, count in here.missing) if here and is_open else (),
        tuple((act.value, role) for act, role in here.may) if here and is_open else (),
        here.due_at_s if here and is_open and here.due_at_s else NEVER_S,
        tuple((item, item in facts.ticked) for item in stage.checklist),
        end.cause if end else state.notes.get(stage.stage, ""),
        tuple(Name(words.ko, words.en) for words in stage.checklist.values()),
        tuple(_mine(state, here, by)) if here and is_open else (),
    )


def _mine(state: ApplicationState, here: OpenStage, by: Actor) -> Iterator[str]:
    """Yield what a person may do in an open stage, marks and what the office does for all aside."""
    stage = here.stage
    if by == PUBLIC_ACTOR or not answers_for(by, stage, state):
        return
    acts = {act for act, _ in here.may}
    if Act.TICK in acts:
        yield Act.TICK.value
    is_asked = by.user in state.asked_in(stage.stage)
    if Act.VOTE in acts and is_asked and by.user not in state.votes.get(stage.stage, {}):
        yield Act.VOTE.value
    if Act.CONCLUDE in acts:
        yield Act.CONCLUDE.value


def _stage_sum(stage: Stage, board: Sequence[BoardRow]) -> StageSum:
    rows = [one for row in board for one in row.stages if one.stage == stage.stage]
    states = Counter(one.state for one in rows)
    missing: Counter[str] = Counter()
    for one in rows:
        missing.update(dict(one.missing))
    acts = {act for one in rows for act, _ in one.may}
    return StageSum(
        stage.stage,
        stage.kind,
        None if stage.name is None else Name(stage.name.ko, stage.name.en),
        stage.role,
        stage.passes,
        states["ahead"],
        states["open"],
        states["passed"],
        states["failed"],
        tuple(sorted(missing.items())),
        tuple(sorted(acts)),
    )


def _mistake(mistake: Mistake) -> FieldProblem:
    where = f"line {mistake.line}, {mistake.field}" if mistake.line else mistake.field
    if mistake.problem is not None:
        return FieldProblem(where, mistake.problem.refusal.value, mistake.problem.numbers)
    return FieldProblem(where, Refusal.VALUE_IS_UNREADABLE.value, {"said": mistake.said})
