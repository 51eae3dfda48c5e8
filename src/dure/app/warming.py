"""Have the engine's kernels compiled and loaded before anybody waits for them."""

from pathlib import Path

import numpy as np

import dure
from dure.core import columns as col
from dure.core.foresee import expected_start_s
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.core.relax import relaxed
from dure.core.shapes import spread_examples
from dure.core.state import ASKED, Jobs, State
from dure.core.why import explain


def is_compiled() -> bool:
    """Tell whether an earlier start compiled the kernels (a minute or two, once)."""
    caches = Path(dure.__file__).parent / "core" / "__pycache__"
    return any(caches.rglob("planning.plan*.nbc"))


def warm_engine() -> None:
    """Run every kernel of a live pool once, on a pool of one device that nobody sees."""
    one = np.ones(1, dtype=np.int64)
    none = np.zeros(1, dtype=np.int64)
    name = ["n"]
    pool = Pool(
        node=name,
        provider=name,
        cluster=name,
        leaf=name,
        pod=name,
        site=name,
        accelerator=name,
        gpus=one,
        cpu_milli=none,
        memory_mib=none,
        grade=["C"],
        use=["public"],
        in_service_at_s=none,
    )
    policy = Policy(cleaning_s=1, start_s=1, instant_stop=False)
    planned, folded = State(pool, policy), State(pool, policy)
    columns = np.zeros((ASKED, 1), dtype=np.int64)
    columns[[col.J_GPUS, col.J_TYPES]] = 1
    columns[col.J_MILLI] = col.WHOLE
    columns[[col.J_AFTER, col.J_PROVIDER, col.J_ESTIMATE, col.J_CKPT_TAKES]] = -1
    observed = Observed([], Jobs(["j"], columns), facts_of([(col.K_SUBMITTED, 1, 0)]))
    folded.fold(plan_cycle(planned, observed, 1).record)
    # A pool's tables grow with its 257th job, while it works.
    shapes, alike = np.full_like(planned.c.shapes, -1), np.full_like(planned.c.alike, -1)
    spread_examples(planned.c, shapes, alike)
    relaxed(planned.c, 0)
    expected_start_s(planned.c, explain(planned.c, 0))
    assert folded.digest() == planned.digest(), "a plan and its fold disagree; do not run jobs"
