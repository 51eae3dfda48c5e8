"""Files of projects: list, upload in parts, download in parts, folders, snapshots."""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, TypeVar

import anyio.to_thread
import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from dure.api.caller import actor_of, services_of
from dure.api.data_schemas import (
    ArrivedOut,
    ChecksumOut,
    FileOut,
    SnapshotIn,
    SnapshotOut,
    StorageOut,
)
from dure.api.paging import listing
from dure.api.problems import ProblemError, documented, missing
from dure.api.schemas import out
from dure.api.work_routes import repeats_of
from dure.core.calendar import civil
from dure.core.storage import (
    FileEntry,
    Parts,
    Upload,
    checked_path,
    checked_sha256,
    checked_snapshot,
)
from dure.services.access import Actor, may
from dure.services.browser_words import saved_as
from dure.services.ports import Content
from dure.services.storage import Storage

AnyRequest = Request[Any, Any, Any]
Answer = TypeVar("Answer")
READ, WRITE = {"action": "data.read"}, {"action": "data.write"}
CHUNK_BYTES = 1 << 20
BYTES_MAX = 1 << 50
RANGE = re.compile(r"bytes=(\d{0,16})-(\d{0,16})")
CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,16})-(\d{1,16})|\*)/(\d{1,16})")


def shelf_of(request: AnyRequest, project: str, action: str) -> tuple[Storage, Actor]:
    """Return the storage if the caller may do this to the files; 404 for a foreign project."""
    actor = actor_of(request)
    if not may(actor, action, owner=project):
        raise missing("project")
    return services_of(request).storage, actor


def parts_of(request: AnyRequest, *, is_new: bool = False) -> Parts:
    """Return the path behind ``/files/`` or ``/folders/`` as it was sent."""
    parts = checked_path(str(request.path_params["path"]), is_new=is_new)
    if not parts:
        raise ProblemError(400, "invalid", "Name a file or folder inside the project's folder.")
    return parts


async def _in_thread(ask: Callable[[], Answer]) -> Answer:
    return await anyio.to_thread.run_sync(ask)


@get(
    "/projects/{project:str}/storage",
    opt={"action": "storage.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def storage_use(request: AnyRequest, project: FromPath[str]) -> StorageOut:
    """Say what a project's files take beside its quota; counted at most every few seconds."""
    storage, actor = shelf_of(request, project, "storage.read")
    found = storage.use(project, by=actor)
    return StorageOut(
        project=project,
        quota_bytes=found.quota_bytes,
        used_bytes=found.use.total_bytes,
        free_bytes=found.free_bytes,
        over_bytes=found.over_bytes,
        **asdict(found.use),
    )


@get(
    "/projects/{project:str}/files",
    opt=READ,
    responses=documented(400, 401, 404, 422),
    sync_to_thread=True,
)
def files(request: AnyRequest, project: FromPath[str]) -> Response[list[FileOut]]:
    """List a folder, ``?path=``; the project's own without one."""
    storage, actor = shelf_of(request, project, "data.read")
    parts = checked_path(request.query_params.get("path", ""))
    names = storage.names(project, parts, by=actor)

    def show(name: str) -> FileOut:
        return out(FileOut, storage.entry(project, (*parts, name), by=actor))

    return listing(request, names, lambda name: name, show)


@get(
    "/projects/{project:str}/checksum",
    opt=READ,
    responses=documented(400, 401, 404, 422),
    sync_to_thread=True,
)
def checksum(request: AnyRequest, project: FromPath[str]) -> ChecksumOut:
    """Read a file, ``?path=``, to its end and say its sha-256."""
    storage, actor = shelf_of(request, project, "data.read")
    parts = checked_path(request.query_params.get("path", ""))
    content = storage.open(project, parts, by=actor)
    try:
        entry = content.entry
        return ChecksumOut("/".join(parts), entry.bytes, content.sha256(), entry.etag)
    finally:
        content.close()


@get(
    "/projects/{project:str}/files/{path:path}",
    opt=READ,
    responses=documented(400, 401, 404, 422),
    media_type="application/octet-stream",
    sync_to_thread=True,
)
def download(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Give a file, or the part that ``Range`` names; never something that a browser would run."""
    storage, actor = shelf_of(request, project, "data.read")
    parts = parts_of(request)
    content = storage.open(project, parts, by=actor)
    entry = content.entry
    headers = _headers_of(entry)
    if request.headers.get("if-none-match", "") == headers["ETag"]:
        content.close()
        return Response(b"", status_code=304, headers=headers)
    span = _span(request, entry)
    if span is None:
        content.close()
        headers["Content-Range"] = f"bytes */{entry.bytes}"
        return Response(b"", status_code=416, headers=headers)
    first, end, is_part = span
    headers["Content-Length"] = str(end - first)
    if is_part:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{entry.bytes}"
    return Stream(
        _chunks(content, first, end),
        status_code=206 if is_part else 200,
        media_type="application/octet-stream",
        headers=headers,
    )


def _headers_of(entry: FileEntry) -> dict[str, str]:
    return {
        **saved_as(entry.name),
        "ETag": f'"{entry.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
    }


def _span(request: AnyRequest, entry: FileEntry) -> tuple[int, int, bool] | None:
    """Return (first byte, the one after the last, was it asked for); None if there is no such."""
    form = RANGE.fullmatch(request.headers.get("range", ""))
    held = request.headers.get("if-range", f'"{entry.etag}"')
    # A header of another form, or of another state of the file, asks for the whole.
    if form is None or held != f'"{entry.etag}"' or not (form[1] or form[2]):
        return 0, entry.bytes, False
    if not form[1]:
        last = int(form[2])
        return (max(0, entry.bytes - last), entry.bytes, True) if last and entry.bytes else None
    first = int(form[1])
    end = min(int(form[2]) + 1, entry.bytes) if form[2] else entry.bytes
    return (first, end, True) if first < end else None


def _chunks(content: Content, first: int, end: int) -> Iterator[bytes]:
    try:
        while first < end and (part := content.read(first, min(CHUNK_BYTES, end - first))):
            first += len(part)
            yield part
    finally:
        content.close()


@put(
    "/projects/{project:str}/files/{path:path}",
    opt=WRITE,
    status_code=200,
    responses=documented(400, 401, 404, 409, 422),
    request_max_body_size=None,
)
async def upload(request: AnyRequest, project: FromPath[str]) -> Response[ArrivedOut]:
    """Send a file or its next part; 201 once it is whole and its ``?sha256=`` agrees, 202 before.

    ``Content-Range: bytes FIRST-LAST/SIZE`` names the part; ``bytes */SIZE`` with an empty body
    asks how much has arrived; all of it if the file is there already. Without it the body is the
    whole file.
    """
    storage, actor = shelf_of(request, project, "data.write")
    parts = parts_of(request, is_new=True)
    first, size = _sent(request)
    sha256 = checked_sha256(request.query_params.get("sha256", ""))
    wish = Upload(project, parts, size, sha256, actor.user)
    if first is None and await _in_thread(lambda: storage.holds(wish, by=actor)):
        # Sent before, and the answer was lost.
        return Response(ArrivedOut(wish.path, size, size, True), status_code=201)
    offset = await _in_thread(lambda: storage.begin(wish, by=actor))
    if first is not None:
        offset = await _receive(request, storage, wish, first, offset, actor)
    if offset < size:
        return Response(ArrivedOut(wish.path, offset, size, False), status_code=202)
    await _in_thread(lambda: storage.finish(wish, by=actor))
    return Response(ArrivedOut(wish.path, offset, size, True), status_code=201)


def _sent(request: AnyRequest) -> tuple[int | None, int]:
    """Return (first byte of the body or None, size of the whole file)."""
    text = request.headers.get("content-range", "")
    length = request.headers.get("content-length", "")
    if not text:
        if not length.isdecimal() or int(length[:17]) > BYTES_MAX:
            raise ProblemError(400, "invalid", "Send Content-Length, or Content-Range.")
        return 0, int(length)
    form = CONTENT_RANGE.fullmatch(text)
    if form is None or int(form[3]) > BYTES_MAX:
        raise ProblemError(400, "invalid", "Content-Range is 'bytes FIRST-LAST/SIZE' or '*/SIZE'.")
    if form[1] is not None and not int(form[1]) <= int(form[2]) < int(form[3]):
        raise ProblemError(400, "invalid", "Content-Range names bytes that are not in the file.")
    return (None if form[1] is None else int(form[1])), int(form[3])


async def _receive(
    request: AnyRequest, storage: Storage, wish: Upload, first: int, arrived: int, actor: Actor
) -> int:
    """Write the body from byte ``first`` on; what has arrived before is passed over."""
    at, waiting = first, bytearray()

    async def put_down() -> None:
        nonlocal at, arrived
        part, place = bytes(waiting), at
        waiting.clear()
        at += len(part)
        known = max(0, min(len(part), arrived - place))
        if known < len(part):
            write = storage.write
            arrived = await _in_thread(lambda: write(wish, place + known, part[known:], by=actor))

    try:
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= CHUNK_BYTES:
                await put_down()
    finally:
        # A line that broke: what came is kept, and the sender goes on from there.
        if waiting:
            await put_down()
    return arrived


@delete(
    "/projects/{project:str}/files/{path:path}",
    opt=WRITE,
    responses=documented(400, 401, 404, 422),
    sync_to_thread=True,
)
def remove(request: AnyRequest, project: FromPath[str]) -> None:
    """Remove a file or an empty folder; ``?all=1`` a folder with all that is in it."""
    storage, actor = shelf_of(request, project, "data.write")
    with_all = request.query_params.get("all", "") == "1"
    storage.remove(project, parts_of(request), with_all=with_all, by=actor)


@put(
    "/projects/{project:str}/folders/{path:path}",
    opt=WRITE,
    status_code=200,
    responses=documented(400, 401, 404, 422),
    sync_to_thread=True,
)
def make_folder(request: AnyRequest, project: FromPath[str]) -> FileOut:
    """Make a folder and those above it; doing so twice changes nothing."""
    storage, actor = shelf_of(request, project, "data.write")
    parts = parts_of(request, is_new=True)
    storage.make_folder(project, parts, by=actor)
    return out(FileOut, storage.entry(project, parts, by=actor))


@get(
    "/projects/{project:str}/snapshots",
    opt=READ,
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def snapshots(request: AnyRequest, project: FromPath[str]) -> Response[list[SnapshotOut]]:
    """List the snapshots of a project's files, the oldest first."""
    storage, actor = shelf_of(request, project, "data.read")
    rows = storage.snapshots(project, by=actor)
    return listing(request, rows, lambda row: row.snapshot, lambda row: out(SnapshotOut, row))


@post(
    "/projects/{project:str}/snapshots",
    opt=WRITE,
    responses=documented(400, 401, 404, 409, 422),
    sync_to_thread=True,
)
def take_snapshot(
    request: AnyRequest, project: FromPath[str], data: JSONBody[SnapshotIn]
) -> Response[SnapshotOut]:
    """Keep all files of a project under a name; needs an Idempotency-Key."""
    storage, actor = shelf_of(request, project, "data.write")
    name = checked_snapshot(data.snapshot or snapshot_name(storage.now_s()))

    def act(_key: str) -> Response[SnapshotOut]:
        row = storage.take_snapshot(project, name, by=actor)
        return Response(out(SnapshotOut, row), status_code=201)

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


def snapshot_name(now_s: int) -> str:
    """Return a name made of a moment, in Korean civil time."""
    return civil(now_s).strftime("%Y-%m-%d-%H%M%S")


@post(
    "/projects/{project:str}/snapshots/{snapshot:str}/restore",
    opt=WRITE,
    status_code=200,
    responses=documented(400, 401, 404, 422),
    sync_to_thread=True,
)
def restore_snapshot(
    request: AnyRequest, project: FromPath[str], snapshot: FromPath[str]
) -> SnapshotOut:
    """Make a project's files what they were in a snapshot; what stands there now is gone."""
    storage, actor = shelf_of(request, project, "data.write")
    return out(SnapshotOut, storage.restore_snapshot(project, snapshot, by=actor))


@delete(
    "/projects/{project:str}/snapshots/{snapshot:str}",
    opt=WRITE,
    responses=documented(400, 401, 404, 422),
    sync_to_thread=True,
)
def remove_snapshot(request: AnyRequest, project: FromPath[str], snapshot: FromPath[str]) -> None:
    """Remove a snapshot."""
    storage, actor = shelf_of(request, project, "data.write")
    storage.remove_snapshot(project, snapshot, by=actor)


ROUTES = (
    storage_use,
    files,
    checksum,
    download,
    upload,
    remove,
    make_folder,
    snapshots,
    take_snapshot,
    restore_snapshot,
    remove_snapshot,
)
