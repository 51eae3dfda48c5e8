"""A ledger's first record: the pool and the rules that everything after it is decided by."""

from dataclasses import asdict, astuple

import msgspec
import numpy as np

from dure.core.errors import DureError
from dure.core.policy import Policy, policy_named
from dure.core.pool import Pool, Rate

VERSION = 1
_TEXTS = ("node", "provider", "cluster", "leaf", "pod", "site", "accelerator", "grade", "use")
_NUMBERS = ("gpus", "cpu_milli", "memory_mib", "in_service_at_s")


def pack_pool(pool: Pool, policy: Policy, *, seed: int = 0, engine: str = "") -> bytes:
    """Encode the pool, the policy, the seed and the version of the program that founds it."""
    columns: dict[str, object] = {name: list(getattr(pool, name)) for name in _TEXTS}
    columns |= {name: getattr(pool, name).tolist() for name in _NUMBERS}
    if pool.rates:
        columns["rates"] = {name: astuple(rate) for name, rate in pool.rates.items()}
    body = {"pool": columns, "policy": asdict(policy), "seed": seed, "engine": engine}
    return bytes([VERSION]) + msgspec.msgpack.encode(body)


def unpack_pool(payload: bytes) -> tuple[Pool, Policy]:
    """Decode a ledger's first record.

    Raises:
        DureError: a version that this program does not know, or damage.
    """
    if payload[:1] != bytes([VERSION]):
        raise DureError(
            f"the pool's record starts with {payload[:1].hex() or 'nothing'}; expected version "
            f"{VERSION:02x}. It was written by a newer Dure, or it is damaged."
        )
    try:
        body = msgspec.msgpack.decode(payload[1:])
        columns = body["pool"]
        texts = {name: columns[name] for name in _TEXTS}
        numbers = {name: np.array(columns[name], dtype=np.int64) for name in _NUMBERS}
        rates = {name: Rate(*rate) for name, rate in columns.get("rates", {}).items()}
        rules = body["policy"]
        policy = policy_named(rules.pop("name"), **rules)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as broken:
        raise DureError(f"the pool's record is damaged: {broken}") from broken
    return Pool(**texts, **numbers, rates=rates), policy  # type: ignore[arg-type]


def seed_of(payload: bytes) -> int:
    """Return the seed of an imagined pool, 0 of a real one.

    Raises:
        DureError: a version that this program does not know, or damage.
    """
    unpack_pool(payload)
    return int(msgspec.msgpack.decode(payload[1:])["seed"])
