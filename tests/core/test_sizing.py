"""The size that stated work needs."""

from dure.core.events.programme import Work
from dure.core.sizing import Sizing, needed_gpus

PLAIN = Sizing(mfu_milli=400, available_milli=1000, trials_milli=1000)


def test_training_a_model_needs_six_flop_a_parameter_and_token() -> None:
    # 70e9 x 2e12 x 6 = 8.4e23 FLOP; an H200 at 40 % does 395.6e12 x 2,592,000 s = 1.0254e21 a
    # month: 819.2 of them in one month, 68.3 in twelve.
    work = Work(kind="pretraining", parameters_m=70_000, tokens_m=2_000_000)

    assert needed_gpus(work, accelerator="H200", months=1, sizing=PLAIN) == 820
    assert needed_gpus(work, accelerator="H200", months=12, sizing=PLAIN) == 69


def test_poor_code_is_not_paid_in_gpus() -> None:
    work = Work(kind="finetuning", parameters_m=70_000, tokens_m=2_000_000, mfu_milli=1)
    at_least = Work(kind="finetuning", parameters_m=70_000, tokens_m=2_000_000, mfu_milli=200)

    assert needed_gpus(work, accelerator="B200", months=6) == (
        needed_gpus(at_least, accelerator="B200", months=6)
    )


def test_where_nothing_can_be_derived_the_wish_stands_alone() -> None:
    trained = Work(kind="pretraining", parameters_m=7_000, tokens_m=1_000)

    assert needed_gpus(Work(kind="simulation"), accelerator="H200", months=6) is None
    assert needed_gpus(Work(kind="pretraining"), accelerator="H200", months=6) is None
    assert needed_gpus(trained, accelerator="QPU", months=6) is None
    assert needed_gpus(trained, accelerator="H200", months=12) == 1
