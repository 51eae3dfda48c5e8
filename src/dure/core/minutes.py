"""What a committee signs: a proposal's digest, and how two proposals differ."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dure.core.events.judging import ShareOutProposed

AwardRow = tuple[str, str, str, int, int]  # application, decision, accelerator, GPUs, first month


@dataclass(frozen=True, slots=True)
class Difference:
    """What moving from one proposal to another does.

    Attributes:
        comes_in, goes_out: applications selected only after, only before; by identifier.
        changes: application -> (GPUs before, GPUs after), selected in both with another size.
        value_lost: how much the total falls; negative if it rises.
    """

    comes_in: tuple[str, ...]
    goes_out: tuple[str, ...]
    changes: Mapping[str, tuple[int, int]]
    value_lost: int


def digest_of(proposal: ShareOutProposed) -> str:
    """Return the SHA-256 of a proposal, whoever made it and whenever: hexadecimal."""
    bare = msgspec.structs.replace(proposal, digest="", at_s=0, by="")
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def difference(before: ShareOutProposed, after: ShareOutProposed) -> Difference:
    """Compare two proposals of a call."""
    old, new = _selected(before.awards), _selected(after.awards)
    return Difference(
        tuple(sorted(set(new) - set(old))),
        tuple(sorted(set(old) - set(new))),
        {
            name: (old[name], new[name])
            for name in sorted(set(old) & set(new))
            if old[name] != new[name]
        },
        before.value - after.value,
    )


def _selected(awards: Sequence[AwardRow]) -> dict[str, int]:
    return {name: gpus for name, decision, _, gpus, _ in awards if decision == "selected"}
