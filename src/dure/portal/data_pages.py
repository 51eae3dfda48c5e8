"""Files of a project: a folder as a list, uploads, snapshots. Downloads are the API's."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath
from litestar.response import Redirect

from dure.core.calendar import civil
from dure.core.errors import InputError
from dure.core.storage import FileError, Upload, checked_path, checked_snapshot
from dure.portal.asking import answers, in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.access import Actor, may
from dure.services.storage import Storage

READ, WRITE = {"action": "data.read"}, {"action": "data.write"}
# A browser cannot go on after a break, so it is not offered what takes long.
UPLOAD_BYTES_MAX = 256 << 20
CHUNK_BYTES = 1 << 20
DONE = ("uploaded", "made", "removed", "taken", "restored")

Problems = tuple[tuple[str, Mapping[str, Any]], ...]


def shelf_of(request: AnyRequest, project: str, action: str) -> tuple[Storage, Actor]:
    """Return the storage if the visitor may do this to the files; a foreign project is missing."""
    actor = visitor_of(request).actor
    if not may(actor, action, owner=project):
        raise MissingPage("there is no such project")
    return services_of(request).storage, actor


@get("/projects/{project:str}/data", opt=READ, sync_to_thread=True)
def data_page(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Show a folder of a project, its use beside its quota, its snapshots."""
    return _folder_page(request, project, request.query_params.get("path", ""), ())


def _folder_page(request: AnyRequest, project: str, path: str, problems: Problems) -> Response[Any]:
    storage, actor = shelf_of(request, project, "data.read")
    try:
        parts = checked_path(path)
        names = storage.names(project, parts, by=actor)
    except (FileError, InputError):
        raise MissingPage("there is no such folder") from None
    part = part_of(request, names)
    rows = []
    for name in part.rows:
        try:
            rows.append(storage.entry(project, (*parts, name), by=actor))
        except FileError:
            # Gone since the folder was read.
            continue
    above = [("/".join(parts[: place + 1]), name) for place, name in enumerate(parts)]
    return page(
        request,
        "data.html",
        status_code=422 if problems else 200,
        project=project,
        folder="/".join(parts),
        above=above,
        part=part,
        rows=rows,
        href_of=lambda name: quote("/".join((*parts, name))),
        used=storage.use(project, by=actor),
        snapshots=storage.snapshots(project, by=actor),
        snapshot_name=civil(storage.now_s()).strftime("%Y-%m-%d-%H%M%S"),
        most_bytes=UPLOAD_BYTES_MAX,
        problems=problems,
        done=next((one for one in DONE if request.query_params.get("done") == one), ""),
    )


async def _done(
    request: AnyRequest, project: str, path: str, word: str, act: Callable[[], object]
) -> Response[Any]:
    """Do it and lead back to the folder, or show the folder with what was wrong."""
    try:
        await in_thread(act)
    except FileError as wrong:
        problems: Problems = ((f"problem.{wrong.refusal.value}", wrong.numbers),)
    except InputError as wrong:
        problems = (("", {"text": str(wrong)}),)
    else:
        query = urlencode({"path": path, "done": word})
        return Redirect(f"/projects/{quote(project)}/data?{query}", status_code=303)
    return await in_thread(lambda: _folder_page(request, project, path, problems))


@post(
    "/projects/{project:str}/data/upload",
    opt={**WRITE, "is_large": True},
    status_code=200,
    request_max_body_size=UPLOAD_BYTES_MAX + CHUNK_BYTES,
)
async def upload(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Take a file into a folder."""
    storage, actor = shelf_of(request, project, "data.write")
    form = await request.form()
    path, sent = str(form.get("path", "")), form.get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return await in_thread(lambda: _folder_page(request, project, path, (("data.choose", {}),)))
    # Some browsers send a whole path; the name is its last part.
    name = sent.filename.replace("\\", "/").rpartition("/")[2]

    def store() -> None:
        file = sent.file
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.seek(0, 2)
        parts = checked_path(f"{path}/{name}", is_new=True)
        wish = Upload(project, parts, size, sha256, actor.user)
        offset = storage.begin(wish, by=actor)
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            offset = storage.write(wish, offset, chunk, by=actor)
        storage.finish(wish, by=actor)

    return await _done(request, project, path, "uploaded", store)


@post("/projects/{project:str}/data/folder", opt=WRITE, status_code=200)
async def make_folder(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Make a folder in the one that is shown."""
    storage, actor = shelf_of(request, project, "data.write")
    given = await answers(request)
    path, name = given.get("path", ""), given.get("name", "").strip()
    if not name:
        return await in_thread(lambda: _folder_page(request, project, path, (("data.choose", {}),)))

    def make() -> None:
        parts = checked_path(f"{path}/{name}", is_new=True)
        storage.make_folder(project, parts, by=actor)

    return await _done(request, project, path, "made", make)


@post("/projects/{project:str}/data/remove", opt=WRITE, status_code=200)
async def remove(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Remove a file or folder of the one that is shown."""
    storage, actor = shelf_of(request, project, "data.write")
    given = await answers(request)
    path, name, with_all = given.get("path", ""), given.get("name", ""), given.get("all") == "1"

    def gone() -> None:
        parts = checked_path(f"{path}/{name}")
        if not name or "/" in name:
            raise InputError("name", found=repr(name), expected="a name in this folder")
        storage.remove(project, parts, with_all=with_all, by=actor)

    return await _done(request, project, path, "removed", gone)


@post("/projects/{project:str}/data/snapshot", opt=WRITE, status_code=200)
async def take_snapshot(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Keep all files of the project under a name."""
    storage, actor = shelf_of(request, project, "data.write")
    name = (await answers(request)).get("name", "").strip()
    return await _done(
        request,
        project,
        "",
        "taken",
        lambda: storage.take_snapshot(project, checked_snapshot(name), by=actor),
    )


@post("/projects/{project:str}/data/restore", opt=WRITE, status_code=200)
async def restore(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Make the project's files what they were in a snapshot, if whoever asks agreed to that."""
    storage, actor = shelf_of(request, project, "data.write")
    given = await answers(request)
    if given.get("sure") != "1":
        return await in_thread(lambda: _folder_page(request, project, "", (("data.agree", {}),)))
    name = given.get("name", "")
    return await _done(
        request,
        project,
        "",
        "restored",
        lambda: storage.restore_snapshot(project, checked_snapshot(name), by=actor),
    )


ROUTES = (data_page, upload, make_folder, remove, take_snapshot, restore)
