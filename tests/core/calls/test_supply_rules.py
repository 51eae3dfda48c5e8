"""What a supply call's own terms must keep, by the place in the file."""

from pathlib import Path

import msgspec
import pytest

from dure.core.calls.model import Call
from dure.core.calls.rules import check_call
from dure.core.calls.supply import AcceptanceTest, Computed, Instalment, ServiceCredit
from dure.core.programme import Refusal
from dure.services.requests.call_yaml import read_call, write_call
from tests.services.supply_desk import CALL, NAME, TERMS

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "calls"


def problems(call: Call) -> list[tuple[str, Refusal]]:
    return [(one.field, one.refusal) for one in check_call(call)]


@pytest.mark.parametrize(
    ("changes", "field", "refusal"),
    [
        ({"bidders_min": 0}, "supply.bidders_min", Refusal.VALUE_IS_WRONG),
        ({"portions": (60, 50)}, "supply.portions", Refusal.SUM_IS_WRONG),
        ({"portions": (0,)}, "supply.portions[0]", Refusal.VALUE_IS_WRONG),
        ({"report_day": 29}, "supply.report_day", Refusal.VALUE_IS_WRONG),
        ({"computed": (Computed("nothing", "gpus", 0, 1),)}, "supply.computed[0].criterion",
         Refusal.VALUE_IS_UNKNOWN),
        ({"computed": (Computed("plan", "title_ko", 0, 1),)}, "supply.computed[0].of",
         Refusal.VALUE_IS_UNKNOWN),
        ({"computed": (Computed("figures", "gpus", 5, 5),)}, "supply.computed[0].full",
         Refusal.VALUE_IS_WRONG),
        ({"computed": (Computed("cooling", "cooling", points={"ice": 1}),)},
         "supply.computed[0].points", Refusal.VALUE_IS_UNKNOWN),
        ({"computed": (Computed("cooling", "cooling", points={"air": 101}),)},
         "supply.computed[0].points.air", Refusal.VALUE_IS_WRONG),
        ({"computed": (Computed("figures", "gpus", 0, 1), Computed("figures", "gpus", 0, 2))},
         "supply.computed", Refusal.NAME_IS_DOUBLE),
        ({"tests": (AcceptanceTest("hot", NAME, least=9, most=8),)}, "supply.tests[0].least",
         Refusal.VALUE_IS_WRONG),
        ({"instalments": (Instalment("first", 60, 2026),)}, "supply.instalments",
         Refusal.SUM_IS_WRONG),
        ({"instalments": (Instalment("first", 100, 2030),)}, "supply.instalments[0].year",
         Refusal.VALUE_IS_UNKNOWN),
        ({"appropriations_krw": {"2026": 0, "2027": 1}}, "supply.appropriations_krw.2026",
         Refusal.VALUE_IS_WRONG),
        ({"credits": (ServiceCredit(1_000_001, 5),)}, "supply.credits[0].below_ppm",
         Refusal.VALUE_IS_WRONG),
    ],
)  # fmt: skip
def test_each_term_that_cannot_be_kept_is_named(
    changes: dict[str, object], field: str, refusal: Refusal
) -> None:
    terms = msgspec.structs.replace(TERMS, **changes)

    assert problems(msgspec.structs.replace(CALL, supply=terms)) == [(field, refusal)]


def test_a_stage_leaves_reviewers_something_to_mark() -> None:
    every = tuple(Computed(name, "gpus", 0, 100) for name in CALL.rubric)
    terms = msgspec.structs.replace(TERMS, computed=every)

    assert problems(msgspec.structs.replace(CALL, supply=terms)) == [
        ("stages[0].rubric", Refusal.VALUE_IS_WRONG)
    ]


def test_only_a_supply_call_has_terms_of_supply_and_it_is_decided_by_rank() -> None:
    demand = msgspec.structs.replace(
        CALL, kind="demand", capacity={"B200": 8}, tracks={"academia": "a"}
    )

    assert ("supply", Refusal.VALUE_IS_UNKNOWN) in problems(demand)
    assert problems(msgspec.structs.replace(CALL, rule="optimum")) == [
        ("rule", Refusal.VALUE_IS_WRONG)
    ]
    assert problems(CALL) == []


@pytest.mark.parametrize("name", ["procurement-2025", "national-centre"])
def test_a_supply_call_goes_out_and_comes_in_as_its_file(name: str) -> None:
    call = read_call((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"), name)
    assert isinstance(call, Call), call

    assert read_call(write_call(call), name) == call
