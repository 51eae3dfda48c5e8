"""What to do about each error that a GPU's driver reports (an XID), as published.

Source: NVIDIA's XID catalogue as leptonai/gpud ships it (``xid/catalog_generated.go``, column
"immediate action"); what to make of the entries "workflow" and of repeated 13 and 31 follows
NVIDIA/NVSentinel (``docs/configuration``). XIDs that are not listed need the vendor's support.
"""

from enum import Enum
from typing import NamedTuple


class Action(Enum):
    """What an error calls for. The values are stable: tickets and reports name them."""

    IGNORE = "IGNORE"
    RESTART_APP = "RESTART_APP"
    RESET_GPU = "RESET_GPU"
    RESTART_NODE = "RESTART_NODE"
    DIAGNOSE = "DIAGNOSE"
    INSPECT = "INSPECT"


class Xid(NamedTuple):
    """An entry: the catalogue's word, and what we do by it.

    Attributes:
        catalogue: its immediate action.
        action: ours; another one only where the catalogue says "workflow" or "contact support".
        name: the error in the vendor's words.
    """

    catalogue: str
    action: Action
    name: str


def _same(action: Action, *entries: tuple[int, str]) -> dict[int, Xid]:
    return {xid: Xid(action.value, action, name) for xid, name in entries}


XIDS: dict[int, Xid] = {
    **_same(
        Action.IGNORE,
        (43, "GPU stopped processing"),
        (63, "row remapping recorded"),
        (92, "high single-bit ECC error rate"),
    ),
    **_same(
        Action.RESTART_APP,
        (13, "graphics engine exception"),
        (31, "GPU memory page fault"),
        (68, "NVDEC0 exception"),
        (69, "graphics engine class error"),
        (94, "contained ECC error"),
    ),
    **_same(
        Action.RESET_GPU,
        (62, "internal micro-controller halt"),
        (64, "row remapping failed"),
        (95, "uncontained ECC error"),
        (109, "context switch time-out"),
        (110, "security fault"),
        (119, "GSP RPC time-out"),
        (120, "GSP error"),
        (140, "ECC unrecovered error"),
        (143, "GPU initialisation error"),
    ),
    # The catalogue's RESTART_BM: the whole machine.
    79: Xid("RESTART_BM", Action.RESTART_NODE, "GPU has fallen off the bus"),
    # What an ended process leaves behind: the error that ended it is reported as well.
    45: Xid("WORKFLOW_XID_45", Action.IGNORE, "preemptive cleanup"),
    48: Xid("WORKFLOW_XID_48", Action.RESET_GPU, "double-bit ECC error"),
    74: Xid("WORKFLOW_NVLINK_ERR", Action.INSPECT, "NVLink error"),
    **{
        xid: Xid("WORKFLOW_NVLINK5_ERR", Action.INSPECT, "NVLink 5 error")
        for xid in range(144, 151)
    },
}
UNLISTED = Xid("CONTACT_SUPPORT", Action.INSPECT, "not listed")
# Twice on one GPU they are the GPU's, on several the program's that ran there.
OF_PROGRAMS = frozenset({13, 31})


def xid_entry(xid: int) -> Xid:
    """Return what the catalogue says of an error."""
    return XIDS.get(xid, UNLISTED)
