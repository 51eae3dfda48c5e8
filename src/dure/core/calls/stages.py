"""Where an application stands among its call's stages, what is missing and what may be done.

The stages are walked in their order; one that is ``beside`` opens together with those before it. A
stage that does not concern an application (``when``), or that its fast track leaves out, is not
there for it. The first that is failed ends the way; ``interim`` stages come after the award.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from dure.core.calls.model import MONTH_HOURS, Call, Stage, holds
from dure.core.programme import Refusal

DAY_S = 86_400
Outcome = Literal["passed", "failed"]


class Need(Enum):
    """What a stage still lacks. The values are stable: ``stage_need.VALUE`` is the sentence."""

    REVIEWERS = "reviewers"
    REVIEWS = "reviews"
    VOTES = "votes"
    ITEMS = "items"
    DECISION = "decision"
    CLOSING = "closing"


class Act(Enum):
    """What may be done in an open stage."""

    ASSIGN = "assign"
    REVIEW = "review"
    VOTE = "vote"
    TICK = "tick"
    CONCLUDE = "conclude"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What happened to one application in one stage.

    Attributes:
        asked: reviewers who were asked.
        scores_milli: weighted marks of the reviews given.
        votes: who recognises it, and who does not.
        ticked: items of the checklist found in order.
        concluded: by an event, with its moment; the rule alone decides otherwise.
        last_at_s: of the last thing that happened here.
    """

    asked: int = 0
    scores_milli: tuple[int, ...] = ()
    votes: tuple[bool, ...] = ()
    ticked: frozenset[str] = frozenset()
    concluded: Outcome | None = None
    last_at_s: int = 0


NOTHING = StageFacts()


@dataclass(frozen=True, slots=True)
class OpenStage:
    """A stage that an application is in.

    Attributes:
        due_at_s: 0 without a deadline.
        missing: what it lacks, with how many of it.
        may: what may be done, and by which of the stage's roles.
    """

    stage: Stage
    opened_at_s: int
    due_at_s: int
    missing: tuple[tuple[Need, int], ...]
    may: tuple[tuple[Act, str], ...]

    def is_late(self, now_s: int) -> bool:
        """Tell whether its deadline, if it has one, has come."""
        return 0 < self.due_at_s <= now_s


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an application is.

    Attributes:
        open: the stages that it is in; empty when it is ready for the decision, or failed.
        failed_in: the stage that ended its way, "" for none.
        passed: the stages behind it, in order.
    """

    open: tuple[OpenStage, ...] = ()
    failed_in: str = ""
    passed: tuple[str, ...] = field(default=())

    @property
    def is_ready(self) -> bool:
        """All is passed: the committee may decide."""
        return not self.open and not self.failed_in

    def is_in(self, stage: str) -> bool:
        """Tell whether the application is in a stage now."""
        return any(one.stage.stage == stage for one in self.open)


def with_derived(call: Call, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Add what follows from the answers: ``size`` and ``gpu_hours``."""
    gpus, months = int(answers.get("gpus") or 0), int(answers.get("months") or 0)
    large_from = call.large_from.get(str(answers.get("accelerator", "")))
    is_large = large_from is not None and gpus >= large_from
    size = "large" if is_large else "small"
    return {**answers, "size": size, "gpu_hours": gpus * months * MONTH_HOURS}


def way_of(call: Call, answers: dict[str, Any]) -> tuple[tuple[Stage, ...], ...]:
    """Return the stages up to the decision that concern an application; a group opens together.

    Args:
        answers: with what follows from them (``with_derived``).
    """
    fast = call.fast_track
    skipped = fast.skips if fast is not None and holds(fast.when, answers) else ()
    groups: list[list[Stage]] = []
    for stage in call.stages:
        if stage.kind == "interim":
            continue
        if not stage.beside or not groups:
            groups.append([])
        if stage.stage not in skipped and holds(stage.when, answers):
            groups[-1].append(stage)
    return tuple(tuple(group) for group in groups if group)


def interim_of(call: Call, answers: dict[str, Any]) -> Stage | None:
    """Return the stage that gates the rest of an award, if there is one for this application."""
    for stage in call.stages:
        if stage.kind == "interim" and holds(stage.when, answers):
            return stage
    return None


def outcome_of(stage: Stage, facts: StageFacts) -> Outcome | None:
    """Tell what came of a stage: what was concluded, or what its rule says of the application.

    ``score_line`` and ``top`` compare applications, ``decision`` is a person's: these wait for an
    event.
    """
    if facts.concluded is not None:
        return facts.concluded
    if stage.passes == "complete":
        return "passed" if len(facts.scores_milli) >= stage.reviewers else None
    if stage.passes == "checklist":
        # One that is not in order may be mended; only a person fails it.
        return "passed" if facts.ticked >= set(stage.checklist) else None
    if stage.passes == "majority" and len(facts.votes) >= stage.reviewers:
        return "passed" if 2 * sum(facts.votes) > len(facts.votes) else "failed"
    return None


def standing_of(
    call: Call,
    answers: dict[str, Any],
    facts: Mapping[str, StageFacts],
    *,
    from_s: int,
) -> Standing:
    """Walk an application's way up to where it is.

    Args:
        answers: with what follows from them (``with_derived``).
        facts: what happened, by stage.
        from_s: when the first stage opened: the closing of the call, or, where it is rolling, the
            submission.
    """
    return _walk(way_of(call, answers), facts, from_s)


def interim_standing(stage: Stage, facts: StageFacts, *, from_s: int) -> Standing:
    """Tell where an award is in the stage that gates its rest; ``from_s`` is the award's start."""
    return _walk(((stage,),), {stage.stage: facts}, from_s)


def _walk(way: Iterable[Sequence[Stage]], facts: Mapping[str, StageFacts], from_s: int) -> Standing:
    passed: list[str] = []
    for group in way:
        ends = {one.stage: outcome_of(one, facts.get(one.stage, NOTHING)) for one in group}
        failed = next((name for name, end in ends.items() if end == "failed"), "")
        if failed:
            return Standing((), failed, tuple(passed))
        passed += [name for name, end in ends.items() if end == "passed"]
        open_ = [one for one in group if ends[one.stage] is None]
        if open_:
            opened = [_opened(one, facts.get(one.stage, NOTHING), from_s) for one in open_]
            return Standing(tuple(opened), "", tuple(passed))
        from_s = max(from_s, *(facts.get(one.stage, NOTHING).last_at_s for one in group))
    return Standing((), "", tuple(passed))


def _opened(stage: Stage, facts: StageFacts, from_s: int) -> OpenStage:
    missing: list[tuple[Need, int]] = []
    may: list[tuple[Act, str]] = []
    given = len(facts.votes if stage.passes == "majority" else facts.scores_milli)
    if facts.asked < stage.reviewers:
        missing.append((Need.REVIEWERS, stage.reviewers - facts.asked))
        may.append((Act.ASSIGN, "operator"))
    if given < stage.reviewers:
        is_vote = stage.passes == "majority"
        need, act = (Need.VOTES, Act.VOTE) if is_vote else (Need.REVIEWS, Act.REVIEW)
        missing.append((need, stage.reviewers - given))
        may.append((act, stage.role))
    elif stage.passes in ("score_line", "top"):
        missing.append((Need.CLOSING, 1))
        may.append((Act.CLOSE, "operator"))
    if stage.passes == "checklist":
        missing.append((Need.ITEMS, len(set(stage.checklist) - facts.ticked)))
        may += [(Act.TICK, stage.role), (Act.CONCLUDE, stage.role)]
    if stage.passes == "decision":
        missing.append((Need.DECISION, 1))
        may.append((Act.CONCLUDE, stage.role))
    due_at_s = from_s + stage.due_days * DAY_S if stage.due_days else 0
    return OpenStage(stage, from_s, due_at_s, tuple(missing), tuple(may))


def passing(stage: Stage, score_milli: Mapping[str, int]) -> frozenset[str] | Refusal:
    """Choose who passes a stage that compares applications.

    Args:
        score_milli: everybody in the stage, thousandths of a point. A tie at the last place of
            ``top`` goes to the lower identifier.

    Returns:
        Those who pass; or STAGE_PASSES_NOBODY where at least one must.
    """
    order = sorted(score_milli, key=lambda name: (-score_milli[name], name))
    if stage.passes == "top":
        chosen = frozenset(order[: stage.top])
    else:
        assert stage.passes == "score_line", stage.passes
        chosen = frozenset(name for name in order if score_milli[name] >= stage.line_milli)
    if not chosen and not stage.may_pass_none:
        return Refusal.STAGE_PASSES_NOBODY
    return chosen


def final_milli(stages: Sequence[Stage], score_milli: Mapping[str, int]) -> int:
    """Weigh the scores of the stages gone through into one, thousandths of a point, rounded down.

    A stage without a score here (left out, or only a gate) does not count; with none, 0.
    """
    scored = [one for one in stages if one.weight and one.stage in score_milli]
    weight = sum(one.weight for one in scored)
    total = sum(one.weight * score_milli[one.stage] for one in scored)
    return total // weight if weight else 0


def preference_milli(call: Call, answers: dict[str, Any]) -> int:
    """Return the points that the call's preferences add to an application's score."""
    return sum(one.points_milli for one in call.preferences if holds(one.when, answers))


def is_preferred(call: Call, answers: dict[str, Any]) -> bool:
    """Tell whether an application goes before others of an equal score."""
    return any(holds(one.when, answers) for one in call.preferences if not one.points_milli)


def peer_stage_of(call: Call) -> str:
    """Return the stage in which a call's leads review each other; "" for none."""
    if call.peer_review is None:
        return ""
    written = (one.stage for one in call.stages if one.kind == "written" and one.reviewers)
    return next(written, "")


def track_of(call: Call, answers: dict[str, Any]) -> str:
    """Return an application's track; "" where the call admits nobody like it."""
    for rule in call.track_rules:
        if holds(rule.when, answers):
            return rule.track
    return call.tracks.get(str(answers.get("group", "")), "")
