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


def jobs_of(request: AnyRequest, job: str) -> list[tuple[PoolDesk, PoolView, JobStory]]:
    """Return a job, or the elements of a job array, as far as the caller may see them."""
    pools = services_of(request).pools
    elements = [one for desk in pools.values() for one in desk.elements(job)]
    pool = request.query_params.get("pool", "")
    found = [
        find_story(actor_of(request), services_of(request), one, pool=pool)
        for one in elements or [job]
    ]
    if not (seen := [one for one in found if one is not None]):
        raise missing("job")
    return seen
