"""Folders that people send along with their jobs."""

import tempfile
from collections.abc import Iterator
from typing import IO, Any

import anyio.to_thread
import msgspec
from litestar import Request, Response, get, put
from litestar.params import FromPath

from dure.api.caller import actor_of, services_of
from dure.api.finding import pool_of
from dure.api.problems import documented, missing
from dure.core.storage import checked_sha256
from dure.services.access import Actor, require
from dure.services.workdirs import Workdirs

AnyRequest = Request[Any, Any, Any]
SUBMIT = {"action": "job.submit"}
CHUNK_BYTES = 1 << 20
# Whatever a platform allows, no more than this is received at a time.
BODY_BYTES_MAX = 1 << 30


class WorkdirOut(msgspec.Struct, frozen=True):
    """A folder that was sent; ``bytes_max`` is what the files of one may hold together."""

    sha256: str
    bytes_max: int


def _shelf_of(request: AnyRequest, pool: str) -> tuple[Workdirs, Actor]:
    if not pool_of(request, pool).takes_jobs():
        raise missing("pool")
    actor = actor_of(request)
    require(actor, "job.submit", owner=actor.user)
    return services_of(request).workdirs, actor


@get(
    "/pools/{pool:str}/workdirs/{sha256:str}",
    opt=SUBMIT,
    responses=documented(400, 401, 403, 404, 422),
    sync_to_thread=True,
)
def workdir(request: AnyRequest, pool: FromPath[str], sha256: FromPath[str]) -> WorkdirOut:
    """Say whether the caller has sent this archive before; 404 if it must be sent."""
    workdirs, actor = _shelf_of(request, pool)
    if not workdirs.holds(checked_sha256(sha256), by=actor):
        raise missing("work folder")
    return WorkdirOut(sha256, workdirs.bytes_max)


@put(
    "/pools/{pool:str}/workdirs/{sha256:str}",
    opt=SUBMIT,
    status_code=201,
    responses=documented(400, 401, 403, 404, 413, 422),
    request_max_body_size=BODY_BYTES_MAX,
)
async def send_workdir(
    request: AnyRequest, pool: FromPath[str], sha256: FromPath[str]
) -> Response[WorkdirOut]:
    """Send a folder as a tar.gz of this sha-256, for jobs submitted with ``workdir_sha256``."""
    workdirs, actor = _shelf_of(request, pool)
    wanted = checked_sha256(sha256)
    with tempfile.TemporaryFile() as file:
        async for chunk in request.stream():
            await anyio.to_thread.run_sync(file.write, chunk)
        await anyio.to_thread.run_sync(lambda: workdirs.keep(wanted, _chunks(file), by=actor))
    return Response(WorkdirOut(wanted, workdirs.bytes_max), status_code=201)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while part := file.read(CHUNK_BYTES):
        yield part


ROUTES = (workdir, send_workdir)
