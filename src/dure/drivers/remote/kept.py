"""What is kept of the attempts that a site was told to run: a file each, ``open/JOB~ATTEMPT``, and
in ``told`` once the ledger holds its end and the agent is yet to hear of that.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from dure.core.columns import CORDONERS
from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_words import plain
from dure.drivers import files
from dure.drivers.places import Places, named_intents

log = logging.getLogger("dure.sites")

Key = tuple[str, int]
KINDS = ("ended", "stopped", "failed")
REASON_LENGTH_MAX = 500


class Kept(msgspec.Struct):
    """An attempt as its file has it.

    Attributes:
        taken_back_s: when it was, because the site was silent and had not been told; -1 if not.
    """

    order: StartOrder
    stop_by_s: int = -1
    is_stopped: bool = False
    taken_back_s: int = -1


class KeptFiles:
    """The files of one site. A kill loses nothing of them, a power cut what the ledger has, too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("open", "told"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def all(self) -> Iterator[tuple[Key, Kept, bool]]:
        """Yield what is there, and whether it is acknowledged; what is damaged is passed over."""
        for name, is_acknowledged in (("open", False), ("told", True)):
            for key in named_intents(self._folder / name):
                path = self._folder / name / f"{key[0]}~{key[1]}"
                text = files.text_at(str(path), bytes_max=1 << 26) or ""
                try:
                    yield key, msgspec.json.decode(text, type=Kept), is_acknowledged
                except msgspec.MsgspecError as wrong:
                    # The ledger holds the order as well.
                    log.warning("%s is damaged (%s); its orders are given anew", path, wrong)

    def acknowledge(self, key: Key) -> None:
        """The ledger holds its end. Raises OSError if the folder cannot be written."""
        self.path(key).rename(self._told(key))

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
        for path in (self._told(key), self.path(key)):
            if files.remove(str(path)):
                return

    def path(self, key: Key) -> Path:
        """Return where an attempt is kept. Raises InputError, AssertionError if it can be none."""
        return Places(self._folder, *key).intent

    def _told(self, key: Key) -> Path:
        return self._folder / "told" / self.path(key).name


def sound(receipt: Receipt, now_s: int) -> Receipt:
    """Return a receipt that cannot harm the books, whatever an agent made of it."""
    at_s = min(max(0, receipt.at_s), now_s)
    return replace(
        receipt,
        kind=receipt.kind if receipt.kind in KINDS else "ended",
        at_s=at_s,
        began_at_s=min(max(0, receipt.began_at_s), at_s),
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
