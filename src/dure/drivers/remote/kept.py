"""What is kept of the attempts that a site was told to run: a file each, ``open/JOB~ATTEMPT``."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from dure.core.columns import CORDONERS
from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_words import plain
from dure.drivers import files
from dure.drivers.places import Places, open_intents

log = logging.getLogger("dure.sites")

Key = tuple[str, int]
KINDS = ("ended", "stopped", "failed")
REASON_LENGTH_MAX = 500


class Kept(msgspec.Struct):
    """An attempt as its file has it; without an order the site was never told to run it."""

    order: StartOrder | None = None
    stop_by_s: int = -1
    is_stopped: bool = False
    receipt: Receipt | None = None
    evidence: dict[str, Any] = {}
    is_acknowledged: bool = False

    @property
    def runs(self) -> bool:
        """Tell whether its end is still to come."""
        return self.receipt is None and not self.is_acknowledged


class KeptFiles:
    """The files of one site. A kill loses nothing of them, a power cut what the ledger has, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "open").mkdir(mode=0o700, parents=True, exist_ok=True)

    def all(self) -> Iterator[tuple[Key, Kept]]:
        """Yield what is there; a file that is damaged is passed over."""
        for key in open_intents(self._folder):
            path = self.path(key)
            try:
                yield (
                    key,
                    msgspec.json.decode(
                        files.text_at(str(path), bytes_max=1 << 26) or "", type=Kept
                    ),
                )
            except msgspec.MsgspecError as wrong:
                # The ledger holds the order as well.
                log.warning("%s is damaged (%s); its orders are given anew", path, wrong)

    def write(self, key: Key, kept: Kept) -> None:
        """Keep an attempt. Raises DriverError if the disk is full."""
        try:
            text = msgspec.json.encode(kept, enc_hook=plain).decode()
            files.write(str(self.path(key)), text)
        except OSError as wrong:
            raise DriverError(
                f"job {key[0]}: its order to {self._folder.name} cannot be written ({wrong}); "
                "free the disk, or look at its permissions."
            ) from wrong

    def remove(self, key: Key) -> None:
        files.remove(str(self.path(key)))

    def path(self, key: Key) -> Path:
        """Return where an attempt is kept. Raises InputError, AssertionError if it can be none."""
        return Places(self._folder, *key).intent


def sound(receipt: Receipt, now_s: int) -> Receipt:
    """Return a receipt that cannot harm the books, whatever an agent made of it."""
    return replace(
        receipt,
        kind=receipt.kind if receipt.kind in KINDS else "ended",
        at_s=min(max(0, receipt.at_s), now_s),
        exit_code=receipt.exit_code if 0 <= receipt.exit_code <= 255 else 255,
        reason=receipt.reason[:REASON_LENGTH_MAX],
    )


def is_sound(report: NodeReport) -> bool:
    """Tell whether the books know who closed a node."""
    return report.state != "closed" or report.who in CORDONERS


def at_site(order: StartOrder, names: dict[str, str]) -> StartOrder:
    """Return an order with the names that the site itself has for its nodes."""
    devices = tuple((names[node], device) for node, device in order.devices)
    return replace(order, devices=devices)
