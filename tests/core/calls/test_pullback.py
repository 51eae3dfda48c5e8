"""A call's own rules of recall, worked against the tables that others publish."""

from pathlib import Path

from dure.core.calendar import DAY_S, moment_s
from dure.core.calls.model import Call
from dure.core.calls.pullback import recall_policy_of
from dure.core.recall import RecallPolicy, Verdict, check_use
from dure.services.requests.call_yaml import read_call

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "calls"


def example(name: str) -> Call:
    call = read_call((EXAMPLES / name).read_text(encoding="utf-8"), name)
    assert isinstance(call, Call), call
    return call


def taken(policy: RecallPolicy, percent: int) -> tuple[Verdict, int]:
    """Check 400 GPUs that were used by so many percent in a whole month."""
    check = check_use(
        gpus=400,
        used_gpu_s=percent,
        entitled_gpu_s=100,
        held_s=60 * DAY_S,
        below_before=0,
        policy=policy,
    )
    return check.verdict, check.take_gpus


def test_alcf_takes_back_on_two_days_of_the_year() -> None:
    call = example("alcf.yaml")
    may, june, september = (
        recall_policy_of(call, RecallPolicy(), at_s=moment_s(day))
        for day in ("2027-05-01", "2027-06-01", "2027-09-03")
    )

    # Of 95 % unused 30 %, of 88 % unused 15 %, in whole nodes of four.
    assert taken(may, 5) == (Verdict.RECALL, 112)
    assert taken(may, 12) == (Verdict.RECALL, 52)
    assert taken(may, 20) == (Verdict.WARN, 0)
    assert taken(june, 5) == (Verdict.WARN, 0)
    assert taken(september, 5) == (Verdict.RECALL, 284)
    assert taken(september, 40) == (Verdict.RECALL, 76)
    assert taken(september, 50) == (Verdict.OK, 0)
    assert may.notice_s == 14 * DAY_S


def test_a_call_that_says_nothing_has_the_usual_policy() -> None:
    usual = RecallPolicy(warn_below_percent=33)

    assert recall_policy_of(example("2026-2.yaml"), usual, at_s=0) is usual
