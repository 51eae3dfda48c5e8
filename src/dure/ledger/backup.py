"""Copy the ledgers of a data directory into one file while they are in use, and bring them back."""

import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import IO

import apsw
import msgspec

import dure
from dure.core.errors import LedgerError
from dure.ledger.anchor import anchor_path, sealed, sync_directory, unsealed, write_whole
from dure.ledger.beside import (
    PART_NAME,
    PARTS_MAX,
    Beside,
    Kept,
    Nothing,
    Tell,
    reading_part,
    tell_nobody,
    write_part,
)
from dure.ledger.database import connect, is_at_rest, our_words
from dure.ledger.examining import Examination
from dure.ledger.restoring import (
    READY,
    STAGE,
    finish_restore,
    forget_set_aside,
    require_idle,
)
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify import examine

# 1 holds ledgers alone, 2 what lies beside them as well.
FORMATS = (1, 2)
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 2**22
# How much of a ledger is copied before we tell of it.
PAGES = 4_096
LEDGERS_MAX = 1_000
_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)?ledger\.db")


class Copy(msgspec.Struct, frozen=True):
    """One ledger in a backup.

    Attributes:
        name: its place in the data directory, ``ledger.db`` or ``POOL/ledger.db``.
        seq: its last record.
        head: that record's hash.
        sha256: of the file; ``anchor_sha256`` of the anchor beside it.
    """

    name: str
    seq: int
    head: str
    bytes: int
    sha256: str
    anchor_sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds; ``parts`` are what lies beside the ledgers."""

    format: int
    made_by: str
    ledgers: tuple[Copy, ...]
    parts: tuple[Kept, ...] = ()


def find_ledgers(data: Path) -> list[Path]:
    """Return ``DIR/ledger.db`` and ``DIR/*/ledger.db``; also a missing one that has an anchor."""
    pools = sorted(path for path in data.glob("*/") if path.name[0] != ".")
    ledgers = [place / "ledger.db" for place in (data, *pools)]
    return [path for path in ledgers if path.is_file() or anchor_path(path).is_file()]


def back_up(
    data: Path, archive: Path, *, beside: Beside | None = None, tell: Tell = tell_nobody
) -> Manifest:
    """Write every ledger of ``data``, as it stands now, and its anchor into ``archive``.

    The ledgers may be in use. Each copy is verified before the archive takes its name.

    Args:
        beside: what is kept with them; nothing if not given.
        tell: told how far it has come.

    Raises:
        LedgerError: if there is nothing to back up, a ledger is damaged, or the disk is full.
    """
    ledgers = find_ledgers(data)
    if not ledgers:
        raise LedgerError(f"{data}: found no ledger.db in it or one level below; nothing to keep.")
    for ledger in ledgers:
        if not ledger.is_file():
            raise LedgerError(f"{ledger}: found its anchor and no ledger. Restore a backup first.")
        if _NAME.fullmatch(str(ledger.relative_to(data))) is None:
            raise LedgerError(f"{ledger}: expected a directory named by letters, digits, . _ -")
    with staging(archive.absolute().parent) as stage:
        copies = [_copy(data, ledger, stage, tell) for ledger in ledgers]
        return pack(stage, copies, archive, beside or Nothing(), tell)


def pack(
    stage: Path, copies: Sequence[Copy], archive: Path, beside: Beside, tell: Tell
) -> Manifest:
    """Write what stands in ``stage`` into one file, which takes its name when it is whole."""
    packed_as = stage / "archive"
    with zipfile.ZipFile(packed_as, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packing:
        for copy in copies:
            tell(copy.name, 0, copy.bytes)
            for path in (stage / copy.name, anchor_path(stage / copy.name)):
                name = str(path.relative_to(stage))
                with path.open("rb") as source, _opened_entry(packing, name) as packed:
                    shutil.copyfileobj(source, packed)
        # After the ledgers: what they speak of was there before they spoke of it.
        kept = []
        for part in beside.parts([stage / copy.name for copy in copies]):
            with _opened_entry(packing, part.name) as packed:
                kept.append(write_part(part, packed))
        manifest = Manifest(FORMATS[-1], f"dure {dure.__version__}", tuple(copies), tuple(kept))
        packing.writestr(_entry(MANIFEST), sealed(msgspec.to_builtins(manifest)))
    _sync(packed_as)
    packed_as.replace(archive)
    sync_directory(archive.absolute().parent)
    return manifest


def _opened_entry(packing: zipfile.ZipFile, name: str) -> IO[bytes]:
    return packing.open(_entry(name), "w", force_zip64=True)


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """Lend a folder on the disk where the result will lie."""
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=".dure-backup-") as stage:
            yield Path(stage)
    except OSError as wrong:
        raise LedgerError(f"{directory}: cannot be written ({wrong.strerror}).") from wrong


def _entry(name: str) -> zipfile.ZipInfo:
    # No time of day: a backup of the same state is the same file.
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _copy(data: Path, ledger: Path, stage: Path, tell: Tell) -> Copy:
    name = str(ledger.relative_to(data))
    target = stage / name
    target.parent.mkdir(exist_ok=True)
    # The anchor first: the copy must hold its record, however fast the ledger grows meanwhile.
    outside = target.with_name("source.anchor.json")
    if anchor_path(ledger).is_file():
        outside.write_bytes(anchor_path(ledger).read_bytes())
    with our_words(ledger):
        source, into = connect(ledger, at_rest=is_at_rest(ledger)), apsw.Connection(str(target))
        try:
            # One moment of it, however much others write between two steps.
            source.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
            with into.backup("main", source, "main") as copying:
                while not copying.done:
                    copying.step(PAGES)
                    tell(name, copying.page_count - copying.remaining, copying.page_count)
        finally:
            source.close()
            into.close()
    SqliteLedger(target, durable=False).close()
    # The source too: a byte changed where the copy does not reach is damage all the same.
    seen = examine(ledger, progress=partial(tell, name))
    return described(name, target, seen, outside if outside.exists() else None)


def described(name: str, target: Path, source: Examination, outside: Path | None) -> Copy:
    """Say what a copy is, once neither it nor its source has a flaw.

    Raises:
        LedgerError: if one has.
    """
    seen = examine(target, outside=outside)
    for flaw in (*source.flaws, *seen.flaws):
        raise LedgerError(
            f"{source.ledger}: is damaged and was not backed up: {flaw.where}: found {flaw.found}, "
            f"expected {flaw.expected}. See `dure ledger verify`."
        )
    return Copy(
        name=name,
        seq=seen.seq,
        head=seen.head.hex(),
        bytes=target.stat().st_size,
        sha256=_sha256(target),
        anchor_sha256=_sha256(anchor_path(target)),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def restore(
    archive: Path,
    data: Path,
    *,
    force: bool = False,
    beside: Beside | None = None,
    tell: Tell = tell_nobody,
) -> Manifest:
    """Put the ledgers of ``archive`` into ``data``: all of them, verified, or none.

    A restore cut short is finished by the next one; until then no ledger there opens for writing.
    Ledgers that the archive does not hold stay. What is replaced stays as ``ledger.db.replaced``.

    Args:
        force: replace ledgers that are there.
        beside: puts in place what is kept with them; no archive may hold such if not given.
        tell: told how far it has come.

    Raises:
        LedgerError: if the archive is damaged, ledgers are there and not ``force``, or in use.
    """
    others = beside or Nothing()
    try:
        data.mkdir(parents=True, exist_ok=True)
        finish_restore(data, others.place)
        try:
            manifest = _stage(archive, data, others, tell, force=force)
        except BaseException:
            (data / STAGE / READY).unlink(missing_ok=True)
            shutil.rmtree(data / STAGE, ignore_errors=True)
            others.clear()
            raise
        finish_restore(data, others.place)
    except OSError as wrong:
        raise LedgerError(f"{wrong.filename or data}: {wrong.strerror}.") from wrong
    return manifest


def _stage(archive: Path, data: Path, beside: Beside, tell: Tell, *, force: bool) -> Manifest:
    """Unpack and verify everything beside its place, and set the mark that it may take it."""
    stage = data / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    beside.clear()
    stage.mkdir()
    with opened(archive) as packed:
        manifest = read_manifest(packed, archive)
        _require_room(data, manifest, force=force)
        unpack(packed, manifest, stage, archive, beside, tell)
    names = [copy.name for copy in manifest.ledgers]
    write_whole(stage / READY, sealed({"ledgers": names}), durable=True)
    # With the mark in place no ledger can be opened; who has one open is found now.
    for name in names:
        require_idle(data / name)
        forget_set_aside(data / name)
    return manifest


def _require_room(data: Path, manifest: Manifest, *, force: bool) -> None:
    there = [copy.name for copy in manifest.ledgers if (data / copy.name).exists()]
    if there and not force:
        raise LedgerError(
            f"{data}: found {', '.join(there)} there already; nothing was changed. "
            "Choose another directory, or say --force to replace them."
        )


@contextmanager
def opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open a backup; whatever is wrong with it is said in our words."""
    try:
        with zipfile.ZipFile(archive) as packed:
            yield packed
    except FileNotFoundError:
        raise LedgerError(f"{archive}: found no file; expected a backup.") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as wrong:
        raise LedgerError(f"{archive}: is damaged or no backup of Dure ({wrong}).") from wrong


def unpack(
    packed: zipfile.ZipFile,
    manifest: Manifest,
    stage: Path,
    archive: Path,
    beside: Beside,
    tell: Tell,
) -> None:
    """Unpack ledgers into ``stage`` and the rest beside its place, and verify everything."""
    beside.require_room([kept.name for kept in manifest.parts])
    for copy in manifest.ledgers:
        target = stage / copy.name
        target.parent.mkdir(exist_ok=True)
        tell(copy.name, 0, copy.bytes)
        for path, expected in (
            (target, copy.sha256),
            (anchor_path(target), copy.anchor_sha256),
        ):
            with packed.open(str(path.relative_to(stage))) as source:
                _write_checked(source, path, expected, archive)
        sync_directory(target.parent)
        seen = examine(target, progress=partial(tell, copy.name))
        if seen.flaws or (seen.seq, seen.head.hex()) != (copy.seq, copy.head):
            raise LedgerError(f"{archive}: {copy.name} in it is not the ledger that was backed up.")
    for kept in manifest.parts:
        with (
            packed.open(kept.name) as source,
            reading_part(kept, source, str(archive)) as part,
        ):
            beside.stage(kept.name, part)


def read_manifest(packed: zipfile.ZipFile, archive: Path) -> Manifest:
    """Say what a backup holds. Raises LedgerError if it is none of ours."""
    with packed.open(MANIFEST) as file:
        text = file.read(MANIFEST_BYTES_MAX)
    manifest = msgspec.convert(unsealed(text, f"{archive}: {MANIFEST}"), Manifest)
    names = [copy.name for copy in manifest.ledgers]
    parts = [kept.name for kept in manifest.parts]
    is_ours = manifest.format in FORMATS and 0 < len(names) == len(set(names)) <= LEDGERS_MAX
    is_ours &= len(parts) == len(set(parts)) <= PARTS_MAX
    is_ours &= all(PART_NAME.fullmatch(name) is not None for name in parts)
    if not is_ours or any(_NAME.fullmatch(name) is None for name in names):
        raise LedgerError(f"{archive}: found no backup of format {FORMATS[0]} or {FORMATS[-1]}.")
    return manifest


def _write_checked(source: IO[bytes], target: Path, expected: str, archive: Path) -> None:
    with target.open("w+b") as file:
        shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        found = file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise LedgerError(
            f"{archive}: {target.name}: found sha256 {found}, expected {expected}. "
            "The backup is damaged; nothing was changed. Take an earlier one."
        )
