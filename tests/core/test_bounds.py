"""No kernel reads or writes past a table: the kernels are run as plain Python, which looks.

Compiled code does not look (Numba's own check would compile everything once more, for minutes), so
these runs are in a process of their own with ``NUMBA_DISABLE_JIT=1``.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.policy import policy_named
from dure.core.state import ASKED, Account
from tests.core.driving import Drive
from tests.core.worlds import World, pool_of_rows, random_world

ROOT = Path(__file__).resolve().parents[2]
CROWD = 400


def run_to_the_end(world: World) -> Drive:
    run = Drive(world)
    for _ in run.cycles():
        pass
    return run


def in_one_second(policy: str) -> World:
    """Everyone comes at second 0, nobody asks long, a third asks for nothing at all."""
    world = random_world(77, policy, jobs=CROWD)
    world.jobs[col.J_SUBMIT] = 0
    world.jobs[col.J_WORK] = np.arange(CROWD) % 3 * 40
    return world


def shared_devices(policy: str) -> World:
    """More placement rows than devices: gangs of 10 thousandths of 10 devices; many owners."""
    pool = pool_of_rows([("q", "c", "p", "l", "B200", "C")] * 10, [(1, 0, 0)] * 10)
    jobs = np.zeros((ASKED, CROWD), dtype=np.int64)
    jobs[col.J_GPUS], jobs[col.J_NODES], jobs[col.J_MILLI] = 10, 10, 2
    jobs[col.J_TYPES], jobs[col.J_PREEMPTIBLE], jobs[col.J_LEVEL] = 1, 1, col.AT_ANY
    jobs[[col.J_AFTER, col.J_CKPT_TAKES, col.J_ESTIMATE]] = -1
    jobs[col.J_WORK], jobs[col.J_OWNER] = 60, np.arange(CROWD) + 1
    accounts = [Account("", col.ACCOUNT_POOL)]
    accounts += [Account(f"P{i}", col.ACCOUNT_PROJECT) for i in range(CROWD)]
    rights = [
        (col.K_ALLOCATED, 0, col.FOREVER_S, i, i + 1, 0, 20, 0) for i in reversed(range(CROWD))
    ]
    return World(0, policy_named(policy), pool, accounts, rights, jobs)


def largest_nodes(policy: str) -> World:
    """Nodes of 63 devices, all bits of a mask; one fails in part, then as a whole."""
    pool = pool_of_rows([("q", "c", "p", f"l{i}", "B200", "C") for i in range(3)], [(63, 0, 0)] * 3)
    world = random_world(5, policy, jobs=80)
    world.jobs[col.J_TYPES], world.jobs[col.J_GRADE], world.jobs[col.J_PROVIDER] = 1, 0, -1
    world.jobs[col.J_GPUS] = np.resize([63, 1, 62, 126, 70, 8], 80)
    world.jobs[[col.J_NODES, col.J_GPN, col.J_OWNER, col.J_PROJECT]] = 0
    world.jobs[[col.J_CPU, col.J_MEMORY, col.J_SEGMENT, col.J_PREFERRED]] = 0
    script = []
    for at_s, devices in ((500, 1), (900, 0), (1300, 62), (1700, 63)):
        script.append((at_s, (col.K_FAULT, at_s, -1, devices % 3, 1, devices)))
        script.append((at_s + 90, (col.K_REPAIRED, at_s + 90, -1, devices % 3, 1, devices)))
    accounts = [Account("", col.ACCOUNT_POOL)]
    return World(5, world.policy, pool, accounts, [], world.jobs, script)


WORLDS = {"crowd": in_one_second, "shared": shared_devices, "large": largest_nodes}


@pytest.mark.parametrize("policy", ["dure", "greedy", "easy", "srsf"])
@pytest.mark.parametrize("kind", sorted(WORLDS))
def test_worlds_at_the_edge_of_the_tables_run_to_their_end(kind: str, policy: str) -> None:
    run = run_to_the_end(WORLDS[kind](policy))

    status = run.state.c.jobs[col.J_STATE, : len(run.state.job_names)]
    assert (status != col.RUNNING).all()
    assert (status == col.COMPLETED).sum() > 0.2 * status.size


def test_shared_devices_bear_more_rows_than_there_are_devices() -> None:
    run = run_to_the_end(shared_devices("greedy"))

    assert run.state.c.scalars[col.S_ROWS_TOP] == 10 * CROWD


def test_no_kernel_leaves_its_tables() -> None:
    words = [sys.executable, "-W", "ignore", "-m", "tests.core.test_bounds"]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}

    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["ran", "34"]


def run_as_python() -> None:
    """Run what the test above looks at; NumPy raises IndexError where a kernel leaves a table."""
    count = 0
    for policy in col.POLICIES:
        for seed in (31, 32) if policy == "dure" else (31,):
            run_to_the_end(random_world(seed, policy))
            count += 1
    for policy in ("dure", "srtf", "easy"):
        for kind in sorted(WORLDS):
            run_to_the_end(WORLDS[kind](policy))
            count += 1
    for seed in range(500, 516):
        run_to_the_end(random_world(seed, "dure", jobs=70, instant_stop=bool(seed % 2), drain_s=9))
        count += 1
    print("ran", count)


if __name__ == "__main__":
    run_as_python()
