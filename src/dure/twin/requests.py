"""What a person asks of the twin, read from files: policies, faults, jobs and pools."""

from pathlib import Path

import polars as pl
import yaml

from dure.core.columns import POLICIES
from dure.core.errors import InputError, PolicyError
from dure.core.policy import Policy, policy_named
from dure.twin.fault_model import draw_faults, read_fault_model
from dure.twin.run import Inputs
from dure.twin.tables import read_allocations, read_faults, read_jobs, read_pool

# A model draws faults this far beyond the last submission; later work meets none.
FAULTS_BEYOND_S = 120 * 86_400


def read_policy(text: str) -> Policy:
    """Return a policy by name, or from a YAML file with ``base`` and the parameters it changes.

    Raises:
        InputError: the file cannot be read, or a name or value is wrong; says which.
    """
    if text in POLICIES:
        return policy_named(text)
    path = Path(text)
    if not path.exists():
        raise InputError(
            "policy",
            found=repr(text),
            expected=f"one of {', '.join(POLICIES)}, or a YAML file",
            next_step="A file starts with `base: dure` and changes parameters below it.",
        )
    try:
        body = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as broken:
        raise InputError(str(path), found=str(broken), expected="a YAML file") from None
    if not isinstance(body, dict) or not isinstance(body.get("base"), str):
        raise InputError(
            str(path), found="no key `base`", expected=f"base: one of {', '.join(POLICIES)}"
        )
    changes = {str(key): value for key, value in body.items() if key != "base"}
    try:
        return policy_named(body["base"], **changes)
    except PolicyError as wrong:
        raise InputError(
            str(path), found=str(wrong), expected="parameters of docs/policies.md"
        ) from None


def read_inputs(
    jobs: Path,
    pool: Path,
    *,
    policy: Policy,
    allocations: Path | None = None,
    faults: str = "none",
    seed: int = 0,
    days: int | None = None,
) -> Inputs:
    """Read everything that a run needs; ``faults`` is none, a table, or a model (.yaml)."""
    nodes = read_pool(pool)
    work = read_jobs(jobs)
    rights = None if allocations is None else read_allocations(allocations)
    return Inputs(
        work, nodes, policy, rights, _faults(faults, nodes, work, seed=seed, days=days), seed, days
    )


def _faults(
    text: str, nodes: pl.DataFrame, jobs: pl.DataFrame, *, seed: int, days: int | None
) -> pl.DataFrame | None:
    if text == "none":
        return None
    path = Path(text)
    if path.suffix not in {".yaml", ".yml"}:
        return read_faults(path)
    if jobs.height == 0:
        return None
    from_s = int(jobs["submit_at_s"][0])
    last_s = int(jobs["submit_at_s"][-1]) + FAULTS_BEYOND_S
    to_s = last_s if days is None else from_s + days * 86_400
    model = read_fault_model(path)
    return draw_faults(model, nodes, from_s=from_s, to_s=to_s, seed=seed, epoch_s=from_s)
