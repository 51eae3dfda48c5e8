"""What the imagined faults promise: the same whenever drawn, one at a time, at the stated rates."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.twin.fault_gates import imagined_nodes
from dure.twin.fault_model import (
    CHUNK_S,
    FaultModel,
    draw_faults,
    lemon_nodes,
    read_fault_model,
)

DAY_S = 86_400
MODEL = read_fault_model()
FLEETS = ("calm", "usual", "harsh", "llama3", "meta_rsc1", "infinitehbd")
windows = st.tuples(st.integers(0, 4 * CHUNK_S), st.integers(0, 3 * CHUNK_S))


@given(
    window=windows,
    cut=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    fleet=st.sampled_from(FLEETS),
    epoch_s=st.integers(-CHUNK_S, 0),
)
def test_a_draw_equals_the_draws_of_its_parts(
    window: tuple[int, int], cut: float, seed: int, fleet: str, epoch_s: int
) -> None:
    nodes, (from_s, length_s) = imagined_nodes(200), window
    to_s, middle_s = from_s + length_s, from_s + int(length_s * cut)

    def draw(start_s: int, end_s: int) -> pl.DataFrame:
        return draw_faults(
            MODEL, nodes, from_s=start_s, to_s=end_s, seed=seed, fleet=fleet, epoch_s=epoch_s
        )

    assert draw(from_s, to_s).equals(pl.concat([draw(from_s, middle_s), draw(middle_s, to_s)]))


@given(seed=st.integers(0, 2**32), fleet=st.sampled_from(FLEETS), from_s=st.integers(0, CHUNK_S))
def test_intervals_begin_in_the_window_and_a_node_has_one_fault_at_a_time(
    seed: int, fleet: str, from_s: int
) -> None:
    to_s = from_s + 6 * CHUNK_S

    faults = draw_faults(
        MODEL, imagined_nodes(300), from_s=from_s, to_s=to_s, seed=seed, fleet=fleet
    )

    zero = pl.col("class") == "software_or_hang"
    assert faults.filter(~pl.col("from_s").is_between(from_s, to_s - 1)).height == 0
    assert faults.filter((pl.col("to_s") == pl.col("from_s")) != zero).height == 0
    assert faults.filter(pl.col("to_s") < pl.col("from_s")).height == 0
    assert set(faults["gpus"].to_list()) <= {0, 1}
    after = faults.sort("node", "from_s").filter(
        pl.col("from_s") < pl.col("to_s").shift(1).over("node")
    )
    assert after.height == 0


def test_the_order_of_the_nodes_does_not_matter() -> None:
    nodes = imagined_nodes(500)

    one, other = (
        draw_faults(MODEL, frame, from_s=0, to_s=CHUNK_S, seed=3)
        for frame in (nodes, nodes.sample(fraction=1, shuffle=True, seed=1))
    )

    assert one.height > 0
    assert one.equals(other)


def test_another_seed_gives_other_faults() -> None:
    nodes = imagined_nodes(500)

    one, other = (draw_faults(MODEL, nodes, from_s=0, to_s=CHUNK_S, seed=s) for s in (1, 2))

    assert not one.equals(other)


def test_one_node_in_twenty_has_half_of_the_faults() -> None:
    nodes = imagined_nodes(4_000)
    lemons = lemon_nodes(MODEL, nodes, seed=5)

    faults = draw_faults(MODEL, nodes, from_s=0, to_s=12 * CHUNK_S, seed=5, fleet="usual")

    own = faults.filter(
        ~pl.col("class").is_in(["software_or_hang", "maintenance_planned", "switch_or_cable"])
    )
    share = own.filter(pl.col("node").is_in(lemons)).height / own.height
    assert len(lemons) == 200
    # 20 x 5 % against 95 %: the lemons' faults are 100 of 195 parts.
    assert share == pytest.approx(100 / 195, abs=0.04)


@pytest.mark.parametrize(("fleet", "factor"), [("calm", 0.62), ("usual", 1.0), ("harsh", 1.71)])
def test_the_fleet_keeps_the_stated_rates(fleet: str, factor: float) -> None:
    nodes, days = imagined_nodes(8_192), 360

    faults = draw_faults(MODEL, nodes, from_s=0, to_s=days * DAY_S, seed=11, fleet=fleet)

    # A leaf's fault is one event on many nodes.
    events = dict(faults.group_by("class").agg(pl.col("from_s").n_unique()).iter_rows())
    gpu_h = nodes.height * 8 * days * 24
    for one in MODEL.classes:
        expected = one.rate_per_gpu_h * factor * gpu_h
        found = events[one.name]
        # Returns come in clumps: their spread is some 1.5 times that of independent faults.
        assert abs(found - expected) < 4 * 1.5 * expected**0.5 + 0.02 * expected, one.name


def test_nothing_breaks_before_the_nodes_are_there() -> None:
    with pytest.raises(InputError, match="begins at the epoch 100"):
        draw_faults(MODEL, imagined_nodes(4), from_s=0, to_s=10, seed=1, epoch_s=100)


def test_an_unknown_fleet_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="fleet: found 'mars'; expected one of calm, usual"):
        draw_faults(MODEL, imagined_nodes(4), from_s=0, to_s=10, seed=1, fleet="mars")


def test_no_nodes_and_no_time_have_no_faults() -> None:
    nodes = imagined_nodes(4)

    assert draw_faults(MODEL, nodes.head(0), from_s=0, to_s=10, seed=1).height == 0
    assert draw_faults(MODEL, nodes, from_s=10, to_s=10, seed=1).height == 0


def test_a_leaf_switch_takes_its_leaf_and_no_other() -> None:
    nodes = imagined_nodes(1_024)

    faults = draw_faults(MODEL, nodes, from_s=0, to_s=12 * CHUNK_S, seed=2)

    events = (
        faults.filter(pl.col("class") == "switch_or_cable")
        .join(nodes.select("node", "leaf"), on="node")
        .group_by("from_s")
        .agg(nodes=pl.len(), leaves=pl.col("leaf").n_unique(), ends=pl.col("to_s").n_unique())
    )
    # A node that is already down is no part of it.
    wide = events.filter(pl.col("nodes") > 1)
    assert wide.height > 0
    assert wide.filter((pl.col("leaves") > 1) | (pl.col("ends") > 1)).height == 0
    assert wide["nodes"].max() == 32


def test_the_hang_rate_of_a_job_is_told() -> None:
    assert MODEL.hang_rate_per_gpu_h("usual") == pytest.approx(2.9e-6)
    # Meta: 0.09 an hour for 1,024 GPUs.
    assert MODEL.hang_rate_per_gpu_h("meta_rsc1") * 1_024 == pytest.approx(0.09)


def test_the_model_is_a_value() -> None:
    assert isinstance(MODEL, FaultModel)
    assert read_fault_model() == MODEL
