"""The stage machine: where an application is, held against a walk that tries everything."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dure.core.calls.model import Call, Condition, FastTrack, Stage, Words, usual_stages
from dure.core.calls.stages import (
    Act,
    Need,
    StageFacts,
    final_milli,
    outcome_of,
    passing,
    standing_of,
    way_of,
    with_derived,
)
from dure.core.programme import Refusal

DAY_S = 86_400
ITEMS = {"a": Words("가", "a"), "b": Words("나", "b")}
SMALL: dict[str, Any] = {"accelerator": "H200", "gpus": 8, "months": 12, "group": "academia"}


def call_of(*stages: Stage, **more: Any) -> Call:
    return Call(
        call="t",
        name=Words("시험", "test"),
        opens_at_s=0,
        closes_at_s=100,
        starts_at_s=200,
        capacity={"H200": 64},
        large_from={"H200": 32},
        rubric={"impact": 100},
        tracks={"academia": "public"},
        stages=stages,
        **more,
    )


@st.composite
def stages(draw: st.DrawFn) -> list[Stage]:
    """Stages in any number and order, of every pass rule."""
    made = []
    for place in range(draw(st.integers(0, 6))):
        passes = draw(st.sampled_from(["complete", "checklist", "score_line", "top", "majority",
                                       "decision"]))  # fmt: skip
        reviews = passes in ("complete", "score_line", "top", "majority")
        made.append(
            Stage(
                f"s{place}",
                "written",
                "reviewer",
                passes,  # type: ignore[arg-type]
                beside=draw(st.booleans()),
                when=draw(st.sampled_from([None, Condition("size", among=("large",)),
                                           Condition("group", among=("academia",))])),
                reviewers=draw(st.integers(1, 3)) if reviews else 0,
                top=1 if passes == "top" else 0,
                due_days=draw(st.integers(0, 2)),
                checklist=ITEMS if passes == "checklist" else {},
            )
        )  # fmt: skip
    return made


facts = st.builds(
    StageFacts,
    asked=st.integers(0, 3),
    scores_milli=st.lists(st.integers(0, 100_000), max_size=3).map(tuple),
    votes=st.lists(st.booleans(), max_size=3).map(tuple),
    ticked=st.sets(st.sampled_from("ab")).map(frozenset),
    concluded=st.sampled_from([None, None, "passed", "failed"]),
    last_at_s=st.integers(0, 1_000),
)


@given(made=stages(), known=st.lists(facts, min_size=6, max_size=6), gpus=st.sampled_from([8, 32]))
def test_an_application_is_where_the_first_stages_not_passed_are(
    made: list[Stage], known: list[StageFacts], gpus: int
) -> None:
    call = call_of(*made)
    happened = {f"s{place}": one for place, one in enumerate(known)}
    answers = with_derived(call, {**SMALL, "gpus": gpus})

    found = standing_of(call, answers, happened, from_s=100)

    # The dumbest walk: number the groups, keep those that concern it, look at each stage alone.
    numbered, number = [], -1
    for stage in made:
        number += not stage.beside or number < 0
        if stage.when is None or str(answers[stage.when.field]) in stage.when.among:
            numbered.append((number, stage, outcome_of(stage, happened[stage.stage])))
    ends = [one for one in numbered if one[2] != "passed"]
    first = min((one[0] for one in ends), default=None)
    here = [one for one in ends if one[0] == first]
    failed = [stage.stage for _, stage, end in here if end == "failed"]
    assert found.failed_in == (failed[0] if failed else "")
    assert [one.stage.stage for one in found.open] == (
        [] if failed else [stage.stage for _, stage, _ in here]
    )
    assert found.is_ready == (not here)


@given(made=stages(), known=st.lists(facts, min_size=6, max_size=6))
def test_an_open_stage_lacks_something_and_somebody_may_bring_it(
    made: list[Stage], known: list[StageFacts]
) -> None:
    call = call_of(*made)
    happened = {f"s{place}": one for place, one in enumerate(known)}

    found = standing_of(call, with_derived(call, SMALL), happened, from_s=100)

    for one in found.open:
        assert one.missing and one.may
        assert all(count > 0 for _, count in one.missing)
        assert one.opened_at_s >= 100
        days = one.stage.due_days
        assert one.due_at_s == (one.opened_at_s + days * DAY_S if days else 0)


def test_a_rule_alone_concludes_what_concerns_one_application() -> None:
    checklist = Stage("d", "documents", "operator", "checklist", checklist=ITEMS)
    vote = Stage("v", "panel", "committee", "majority", reviewers=4)
    marks = Stage("w", "written", "reviewer", "complete", reviewers=2)

    assert outcome_of(checklist, StageFacts(ticked=frozenset("a"))) is None
    assert outcome_of(checklist, StageFacts(ticked=frozenset("ab"))) == "passed"
    assert outcome_of(vote, StageFacts(votes=(True, True, True))) is None
    assert outcome_of(vote, StageFacts(votes=(True, True, True, False))) == "passed"
    # Half is no majority.
    assert outcome_of(vote, StageFacts(votes=(True, True, False, False))) == "failed"
    assert outcome_of(marks, StageFacts(scores_milli=(0,))) is None
    assert outcome_of(marks, StageFacts(scores_milli=(0, 0))) == "passed"


def test_an_open_stage_tells_what_it_lacks_and_who_may() -> None:
    call = call_of(
        Stage("d", "documents", "operator", "checklist", checklist=ITEMS, due_days=3),
        Stage("t", "technical", "provider", "decision", beside=True),
        Stage("w", "written", "reviewer", "score_line", reviewers=2, line_milli=60_000),
    )
    answers = with_derived(call, SMALL)
    begun = {"d": StageFacts(ticked=frozenset("a")), "t": StageFacts(concluded="passed")}
    done = {**begun, "d": StageFacts(ticked=frozenset("ab"), last_at_s=500)}
    marked = {**done, "w": StageFacts(asked=2, scores_milli=(70_000, 50_000))}

    (documents,) = standing_of(call, answers, begun, from_s=100).open
    (written,) = standing_of(call, answers, done, from_s=100).open
    (closing,) = standing_of(call, answers, marked, from_s=100).open

    assert documents.missing == ((Need.ITEMS, 1),)
    assert documents.may == ((Act.TICK, "operator"), (Act.CONCLUDE, "operator"))
    assert documents.due_at_s == 100 + 3 * DAY_S
    assert documents.is_late(100 + 3 * DAY_S) and not documents.is_late(99 + 3 * DAY_S)
    assert (written.missing, written.opened_at_s) == (
        ((Need.REVIEWERS, 2), (Need.REVIEWS, 2)),
        500,
    )
    assert closing.may == ((Act.CLOSE, "operator"),)


def test_the_fast_track_leaves_stages_out() -> None:
    urgent = Condition("urgent", among=("yes",))
    call = call_of(
        *usual_stages(3),
        Stage("board", "panel", "operator", "decision"),
        fast_track=FastTrack(urgent, ("written", "panel")),
    )
    large = {**SMALL, "gpus": 32}

    def names(answers: dict[str, Any]) -> list[list[str]]:
        return [[one.stage for one in group] for group in way_of(call, answers)]

    assert names(with_derived(call, SMALL)) == [["written"], ["board"]]
    assert names(with_derived(call, large)) == [["written", "panel"], ["board"]]
    assert names(with_derived(call, {**large, "urgent": "yes"})) == [["board"]]


scores = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 100_000),
                         max_size=12)  # fmt: skip


@given(score_milli=scores, top=st.integers(1, 5), some=st.booleans())
def test_the_best_pass_and_nobody_who_fails_is_better(
    score_milli: dict[str, int], top: int, some: bool
) -> None:
    stage = Stage("w", "written", "reviewer", "top", top=top, reviewers=1, may_pass_none=not some)

    passes = passing(stage, score_milli)

    if not score_milli and some:
        assert passes is Refusal.STAGE_PASSES_NOBODY
        return
    assert not isinstance(passes, Refusal)
    assert len(passes) == min(top, len(score_milli))
    for name in passes:
        for other in set(score_milli) - passes:
            assert (-score_milli[name], name) < (-score_milli[other], other)


@given(score_milli=scores, line_milli=st.integers(0, 100_000))
def test_the_line_itself_is_enough(score_milli: dict[str, int], line_milli: int) -> None:
    stage = Stage("w", "written", "reviewer", "score_line", line_milli=line_milli, reviewers=1)

    passes = passing(stage, score_milli)

    assert passes == {name for name, milli in score_milli.items() if milli >= line_milli}


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100_000)), max_size=5))
def test_a_final_score_lies_between_those_that_count(parts: list[tuple[int, int]]) -> None:
    gone = [
        Stage(f"s{place}", "written", "reviewer", "complete", reviewers=1, weight=weight)
        for place, (weight, _) in enumerate(parts)
    ]
    own = {f"s{place}": milli for place, (_, milli) in enumerate(parts)}

    final = final_milli(gone, own)

    counted = [milli for weight, milli in parts if weight]
    assert (min(counted) <= final <= max(counted)) if counted else final == 0


def test_weights_count_relative_to_the_stages_gone_through() -> None:
    written, oral = usual_stages(3)

    assert final_milli([written, oral], {"written": 60_000, "panel": 80_000}) == 70_000
    assert final_milli([written], {"written": 60_000, "panel": 80_000}) == 60_000
