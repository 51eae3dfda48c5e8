"""What every page asks of a request: which pool, which part of a list, what a form says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

import anyio.to_thread
from litestar.datastructures import UploadFile

from dure.portal.doors import CSRF_FIELD, AnyRequest, MissingPage
from dure.portal.visitor import services_of
from dure.services.desks import PoolDesk

ROWS_A_PAGE = 50
Row = TypeVar("Row")
Answer = TypeVar("Answer")


def chosen_pool(request: AnyRequest) -> tuple[str, PoolDesk]:
    """Return the pool that ``?pool=`` names, the first one if none is named."""
    pools = services_of(request).pools
    name = request.query_params.get("pool") or next(iter(pools))
    desk = pools.get(name)
    if desk is None:
        raise MissingPage(f"there is no pool {name[:40]!r}")
    return name, desk


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    """Some rows of a longer list, with the links to those before and after."""

    rows: Sequence[Row]
    first: int
    total: int
    before_href: str
    after_href: str


def part_of(request: AnyRequest, rows: Sequence[Row], *, size: int = ROWS_A_PAGE) -> Part[Row]:
    """Cut a list to the page that ``?from=`` names."""
    wish = request.query_params.get("from", "0")
    first = min(int(wish), max(len(rows) - 1, 0)) if wish.isdecimal() and len(wish) < 10 else 0
    first -= first % size
    return Part(
        rows=rows[first : first + size],
        first=first,
        total=len(rows),
        before_href=_from(request, max(first - size, 0)) if first else "",
        after_href=_from(request, first + size) if first + size < len(rows) else "",
    )


def _from(request: AnyRequest, first: int) -> str:
    kept = [(name, one) for name, one in request.query_params.multi_items() if name != "from"]
    return f"{request.url.path}?{urlencode([*kept, ('from', first)])}"


async def uploads(request: AnyRequest, *, bytes_max: int) -> Mapping[str, tuple[str, bytes]]:
    """Return the files of a form by field: name and content, one byte more than ``bytes_max``."""
    form = await request.form()
    found = {}
    for key in form:
        # A field may also say, as text, which file it has already.
        for value in form.getall(key):
            if isinstance(value, UploadFile) and value.filename:
                found[key] = value.filename, await value.read(bytes_max + 1)
    return found


async def answers(request: AnyRequest) -> Mapping[str, str]:
    """Return a form's fields as text, without the form token; of boxes, all that were ticked."""
    form = await request.form()
    texts = {
        key: [one.replace("\r\n", "\n") for one in form.getall(key) if isinstance(one, str)]
        for key in form
        if key != CSRF_FIELD
    }
    # A file that was not chosen comes as an empty text beside the name of the one attached.
    return {key: ", ".join(filter(None, values)) for key, values in texts.items() if values}


async def in_thread(ask: Callable[[], Answer]) -> Answer:
    """Run what may wait (a ledger's write, a password's hash) beside the event loop."""
    return await anyio.to_thread.run_sync(ask)
