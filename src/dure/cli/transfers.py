"""Files to the service and back: in parts, with a bar, taken up again where a line broke."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dure.cli.client import ProblemAnswerError, Service, UnreachableError, path_of
from dure.cli.output import stop

PART_BYTES = 8 << 20
TRIES, RETRY_S = 8, 0.5
# The service reads a large file to its end before it answers.
WAIT_S_MAX = 3_600
PARTIAL = "dure-part"

Tell = Callable[[int], None]


def upload(service: Service, project: str, source: Path, path: str, tell: Tell) -> str:
    """Send a file to ``path`` in the project's folder; return its sha-256.

    What arrived before of the same file, in this run or an earlier one, is not sent again.
    """
    try:
        with source.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            address = file_address(project, path)
            offset, is_whole = _put(service, address, sha256, f"*/{size}", b"")
            while not is_whole:
                tell(offset)
                content.seek(offset)
                part = content.read(PART_BYTES)
                if not part:
                    raise stop("data_changed", file=source)
                span = f"{offset}-{offset + len(part) - 1}/{size}"
                offset, is_whole = _put(service, address, sha256, span, part)
            tell(size)
            return sha256
    except OSError as wrong:
        raise stop("cannot_read", code=2, file=source, why=wrong.strerror) from None


def _put(service: Service, address: str, sha256: str, span: str, part: bytes) -> tuple[int, bool]:
    """Send a part; return (bytes arrived, is the file whole). A lost answer is asked for again."""
    size = span.rpartition("/")[2]
    for left in reversed(range(TRIES)):
        try:
            answer = service.send(
                "PUT",
                address,
                {"sha256": sha256},
                content=part,
                headers={"content-range": f"bytes {span}"},
                wait_s=WAIT_S_MAX,
            ).json()
            return int(answer["offset"]), bool(answer["is_whole"])
        except UnreachableError:
            if not left:
                raise
            time.sleep(RETRY_S * (TRIES - left))
        except ProblemAnswerError as wrong:
            if wrong.problem != "part-out-of-place" or not left:
                raise
        # Whatever came of it, the service knows how far it got.
        span, part = f"*/{size}", b""
    raise AssertionError("the last try returned or raised")


def download(service: Service, project: str, path: str, target: Path, tell: Tell) -> None:
    """Fetch a file, taking up what an earlier run left; it gets its name once its sum agrees."""
    query = {"path": path}
    about = service.send(
        "GET", path_of("projects", project, "checksum"), query, wait_s=WAIT_S_MAX
    ).json()
    etag, size = str(about["etag"]), int(about["bytes"])
    # The state of the file is in the name: another state is fetched from its beginning.
    beside = target.with_name(f".{target.name[:120]}.{etag}.{PARTIAL}")
    try:
        with beside.open("a+b") as content:
            for left in reversed(range(TRIES)):
                try:
                    _fetch(service, file_address(project, path), etag, size, content, tell)
                    break
                except UnreachableError:
                    if not left:
                        raise
                    time.sleep(RETRY_S * (TRIES - left))
            content.flush()
            content.seek(0)
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != about["sha256"]:
            beside.unlink()
            raise stop("data_sum", file=path)
        beside.replace(target)
    except OSError as wrong:
        raise stop("cannot_write", file=target, why=wrong.strerror) from None


def _fetch(
    service: Service, address: str, etag: str, size: int, content: BinaryIO, tell: Tell
) -> None:
    have = content.seek(0, os.SEEK_END)
    tell(have)
    if have >= size:
        return
    headers = {"range": f"bytes={have}-", "if-range": f'"{etag}"'}
    with service.stream(address, headers) as answer:
        if answer.status_code == 200 and have:
            # It has changed since: begin again, and let the sum say what came of it.
            content.truncate(0)
            have = 0
        for part in answer.iter_bytes(1 << 20):
            content.write(part)
            have += len(part)
            tell(have)


def file_address(project: str, path: str) -> str:
    """Return where a file of a project is sent and fetched."""
    return path_of("projects", project, "files", *path.split("/"))


@contextmanager
def bar(what: str, size: int) -> Iterator[Tell]:
    """Show on a terminal how far a transfer has come; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    shown = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with shown:
        task = shown.add_task(what, total=size)
        yield lambda done: shown.update(task, completed=done)
