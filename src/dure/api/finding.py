"""Look up what a path names; what is missing and what may not be seen are answered alike."""

from typing import Any

from litestar import Request

from dure.api.caller import Connection, actor_of, services_of
from dure.api.problems import missing
from dure.services.desks import PoolDesk
from dure.services.sights import find_story
from dure.services.views import JobStory, PoolView

AnyRequest = Request[Any, Any, Any]


def pool_of(connection: Connection, name: str) -> PoolDesk:
    """Return a pool that exists."""
    desk = services_of(connection).pools.get(name)
    if desk is None:
        raise missing("pool")
    return desk


def job_of(request: AnyRequest, job: str) -> tuple[PoolDesk, PoolView, JobStory]:
    """Return a job that exists and that the caller may see, in ``?pool=`` or in any."""
    pool = request.query_params.get("pool", "")
    found = find_story(actor_of(request), services_of(request), job, pool=pool)
    if found is None:
        raise missing("job")
    return found
