"""Backup of a project's files and their way back, on the machine that holds them.

For whoever runs the machine, with or without a running service: ``dure data backup`` and
``recover``.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dure.app.settings import HERE
from dure.core.errors import InputError
from dure.core.events.storage import ProjectRecovered
from dure.core.orders import checked_job_id
from dure.drivers.archives import back_up, recover
from dure.drivers.storage import LocalFiles
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.sqlite import SqliteLedger
from dure.services.book import Book

LEDGER = "ledger.db"
BY_COMMAND = "rule:data-recover"


def back_up_project(
    data: Path, project: str, archive: Path, *, snapshot: str = ""
) -> Mapping[str, Any]:
    """Write a project's files into an archive; return what it holds.

    Raises:
        InputError, FileError, DriverError: in words for a person.
    """
    root = _pool(data)
    if not (root / "projects" / checked_job_id(project)).is_dir():
        raise InputError(project, found="no files of it here", expected="a project that has some")
    return back_up(LocalFiles(root, now_s=_now_s), project, archive, snapshot=snapshot)


def recover_project(
    data: Path, archive: Path, *, project: str = "", is_forced: bool = False
) -> Mapping[str, Any]:
    """Bring a project's files back, and write into the pool's ledger that it was done."""
    root = _pool(data)
    files = LocalFiles(root, now_s=_now_s)
    about = recover(files, archive, project=project, is_forced=is_forced)
    ledger = SqliteLedger(root / LEDGER)
    try:
        Book(ledger, encode=encode_events, decode=decode_events).append(
            [
                ProjectRecovered(
                    at_s=_now_s(),
                    by=BY_COMMAND,
                    project=project or str(about["project"]),
                    source=str(about["project"]),
                    files=int(about["files"]),
                    bytes=int(about["bytes"]),
                    sha256=str(about["sha256"]),
                )
            ]
        )
    finally:
        ledger.close()
    return about


def _pool(data: Path) -> Path:
    root = data / HERE
    if not (root / LEDGER).is_file():
        raise InputError(
            str(data), found="no pool of this machine", expected="the data of a platform (--data)"
        )
    return root


def _now_s() -> int:
    return int(time.time())
