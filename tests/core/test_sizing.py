"""The size that stated work needs."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.events.programme import Work
from dure.core.rates import RATES
from dure.core.sizing import WORK_NUMBERS, Evidence, PastUse, Sizing, evidence, needed_gpus

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


def gpus_of(work: Work, **more: object) -> Evidence:
    found = evidence(work, accelerator="H200", months=1, sizing=PLAIN, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_adapters_need_two_thirds_of_the_compute() -> None:
    full = Work(kind="finetuning", parameters_m=70_000, tokens_m=2_000_000)
    lora = Work(kind="finetuning", parameters_m=70_000, tokens_m=2_000_000, method="lora")

    # 819.2 GPUs at 6 N D (above); 546.1 at 4 N D.
    assert (gpus_of(full).gpus, gpus_of(lora).gpus) == (820, 547)
    assert gpus_of(lora).formula == "adapting"


def test_serving_needs_whole_replicas_for_weights_latency_and_load() -> None:
    # 70e9 parameters are 140 GB; 60 % of an H200's 141 GB are 84.6: two GPUs a replica.
    work = Work(kind="inference", parameters_m=70_000, requests_milli_s=1000, input_tokens=1500,
                output_tokens=500)  # fmt: skip
    small = gpus_of(work)
    # One request a second: 2000 tokens x 140e9 FLOP = 280 TFLOP/s over 247.25: two GPUs, a replica.
    assert (small.gpus, small.bound_by) == (2, "for_compute")

    # 100 requests a second: 28,000 TFLOP/s over 247.25 are 113.2 GPUs, 57 replicas of two.
    busy = gpus_of(msgspec.structs.replace(work, requests_milli_s=100_000))
    assert (busy.gpus, busy.bound_by) == (114, "for_compute")

    # 5 ms a token: 140 GB over 2.88 GB/ms x 5 are 9.7, so ten GPUs read the weights together.
    quick = gpus_of(msgspec.structs.replace(work, latency_ms=5))
    assert (quick.gpus, quick.bound_by) == (10, "for_latency")


def test_parallel_runs_count_up_to_where_they_are_efficient() -> None:
    # 100,000 node-hours in 720 h want a speed-up of 138.9. With 1 % serial work, Amdahl gives at
    # most 100, and half efficiency at 101 nodes: 1 / (0.01 + 0.99 / 101) = 50.5.
    work = Work(kind="hpc", node_hours=100_000, serial_milli=10)
    found = gpus_of(work)
    assert (found.gpus, found.bound_by) == (101 * 8, "nodes_efficient")

    # 20,000 node-hours want 27.8: 1 / (0.01 + 0.99 / 39) = 28.3 is enough, 38 nodes are 27.7.
    less = gpus_of(msgspec.structs.replace(work, node_hours=20_000))
    assert (less.gpus, less.bound_by) == (39 * 8, "nodes_enough")


def test_measured_points_are_joined_by_lines_and_never_stretched() -> None:
    work = Work(kind="hpc", node_hours=4000, scaling=((4, 3600), (16, 9600)))

    # 5.56 wanted: 3.6 + (9.6 - 3.6) x 4 / 12 = 5.6 at 8 nodes.
    assert gpus_of(work).gpus == 8 * 8
    assert gpus_of(msgspec.structs.replace(work, node_hours=40_000)).gpus == 16 * 8


def test_steps_wanted_over_steps_that_one_gpu_does() -> None:
    # 1e12 steps over 20,000 a second x 2,592,000 s = 5.184e10: 19.3 GPUs.
    work = Work(kind="robotics", steps_m=1_000_000, steps_s=20_000)

    assert gpus_of(work).gpus == 20


def test_low_use_before_bounds_what_work_may_claim() -> None:
    work = Work(kind="robotics", steps_m=1_000_000, steps_s=20_000)
    # 3 of 10 GPUs were used on average: with twice that, 6.
    low = PastUse(days=60, used_gpu_s=3 * 60 * 86_400, held_gpu_s=10 * 60 * 86_400)
    good = PastUse(days=60, used_gpu_s=6 * 60 * 86_400, held_gpu_s=10 * 60 * 86_400)
    short = PastUse(days=20, used_gpu_s=20 * 86_400, held_gpu_s=200 * 86_400)

    assert (gpus_of(work, past=low).gpus, gpus_of(work, past=low).bound_by) == (6, "used_gpus")
    assert gpus_of(work, past=good).gpus == gpus_of(work, past=short).gpus == 20
    assert gpus_of(Work(), past=low).formula == "past_use"


works = st.builds(
    Work,
    kind=st.sampled_from(
        ["pretraining", "finetuning", "inference", "hpc", "simulation", "robotics"]
    ),
    method=st.sampled_from(["", "full", "lora"]),
    **{name: st.integers(0, 10**6) for name in WORK_NUMBERS if name != "serial_milli"},
    serial_milli=st.integers(0, 1000),
)


@given(work=works, kind=st.sampled_from(sorted(RATES)), months=st.integers(1, 12))
def test_the_interval_holds_the_size_and_a_longer_term_never_needs_more(
    work: Work, kind: str, months: int
) -> None:
    found = evidence(work, accelerator=kind, months=months)
    if found is None:
        return
    longer = evidence(work, accelerator=kind, months=months + 1)

    assert 1 <= found.gpus_low <= found.gpus <= found.gpus_high
    assert longer is not None and longer.gpus <= found.gpus
    assert found.bound_by in {term.name for term in found.terms}
    assert all(term.source for term in found.terms)


def test_an_npu_made_to_serve_is_sized_for_serving_alone() -> None:
    serving = Work(kind="inference", parameters_m=70_000, requests_milli_s=1_000, output_tokens=300)
    training = Work(kind="pretraining", parameters_m=7_000, tokens_m=100_000)

    found = evidence(serving, accelerator="RNGD", months=6)

    # Weights of 140 GB in six tenths of 48 GB each: five.
    assert found is not None and found.gpus == 5 and found.bound_by == "for_memory"
    assert evidence(training, accelerator="RNGD", months=6) is None
