"""The anchor: a few lines beside a ledger that say where its chain ended and what the file was.

A chain alone cannot show that its tail was cut off or that all of it was replaced. Whoever keeps
a copy of the anchor elsewhere can.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dure.core.errors import LedgerError
from dure.ledger.chain import ZERO_HASH

FORMAT = 1
ANCHOR_BYTES_MAX = 4096
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a ledger stood.

    Attributes:
        seq: its last record, 0 if it has none.
        hash: that record's hash.
        file_bytes: size of the cleanly closed file; None if it was open then.
        file_sha256: the whole file's hash, or None.
    """

    seq: int
    hash: bytes
    file_bytes: int | None = None
    file_sha256: bytes | None = None


EMPTY = Anchor(0, ZERO_HASH)


def anchor_path(ledger: Path) -> Path:
    """Return where the anchor of ``DIR/ledger.db`` lies: ``DIR/ledger.anchor.json``."""
    return ledger.with_name(f"{ledger.stem}.anchor.json")


def sealed(content: Mapping[str, object]) -> bytes:
    """Write a mapping as JSON in one single way, with the hash of itself as its last line.

    Because there is one way only, a reader that writes it again finds any changed byte.
    """
    body = json.dumps(content, sort_keys=True)
    total = sha256(body.encode()).hexdigest()
    return (json.dumps({**content, "~sum": total}, sort_keys=True, indent=1) + "\n").encode()


def unsealed(text: bytes, where: str) -> dict[str, object]:
    """Read what ``sealed`` wrote. Raises LedgerError if a single byte of it has changed."""
    try:
        found = json.loads(text)
        content = {key: value for key, value in found.items() if key != "~sum"}
        if sealed(content) == text:
            return content
    except (ValueError, AttributeError, RecursionError):
        pass
    raise LedgerError(f"{where}: found text that was changed; expected it as Dure wrote it.")


def read_anchor(path: Path) -> Anchor | None:
    """Return an anchor, or None if there is no such file.

    Raises:
        LedgerError: if it is not as we wrote it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(ANCHOR_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as wrong:
        raise LedgerError(f"{path}: cannot be read ({wrong.strerror}).") from wrong
    content = unsealed(text, str(path))
    seq, head, closed = content.get("seq"), content.get("hash"), content.get("file")
    if content.get("format") != FORMAT or type(seq) is not int or not _is_hash(head):
        raise LedgerError(f"{path}: found no anchor of format {FORMAT}.")
    if not 0 <= seq < 2**63:
        raise LedgerError(f"{path}: found record {seq}; expected a number of 63 bits.")
    if closed is None:
        return Anchor(seq, bytes.fromhex(str(head)))
    if not isinstance(closed, dict) or type(closed.get("bytes")) is not int:
        raise LedgerError(f"{path}: found no size of the file.")
    if not _is_hash(closed.get("sha256")):
        raise LedgerError(f"{path}: found no hash of the file.")
    return Anchor(seq, bytes.fromhex(str(head)), closed["bytes"], bytes.fromhex(closed["sha256"]))


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def write_anchor(path: Path, anchor: Anchor, *, durable: bool) -> None:
    """Put an anchor in place of the old one, all at once."""
    file = None
    if anchor.file_sha256 is not None:
        file = {"bytes": anchor.file_bytes, "sha256": anchor.file_sha256.hex()}
    content = {"format": FORMAT, "seq": anchor.seq, "hash": anchor.hash.hex(), "file": file}
    write_whole(path, sealed(content), durable=durable)


def write_whole(path: Path, content: bytes, *, durable: bool) -> None:
    """Write beside, then rename: a reader finds the old file or the new one, never a part.

    Raises:
        LedgerError: if the disk does not take it; the old file then still stands.
    """
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
        if durable:
            sync_directory(path.parent)
    except OSError as wrong:
        raise LedgerError(f"{path}: cannot be written ({wrong.strerror}).") from wrong


def sync_directory(path: Path) -> None:
    """Make renames in a directory survive a power cut."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
