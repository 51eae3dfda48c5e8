"""The portal as one web application."""

import secrets
from collections.abc import Callable
from typing import Any

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.response import Redirect

from dure.portal import (
    application_pages,
    care_pages,
    committee_pages,
    data_pages,
    holding_pages,
    notice_pages,
    offer_pages,
    office_pages,
    people_pages,
    programme_pages,
    public_pages,
    reviewer_pages,
    session_pages,
    stage_pages,
    supply_pages,
    work_pages,
)
from dure.portal.doors import ERROR_PAGES, FORM_BYTES_MAX, guard_door
from dure.portal.render import SECURITY_HEADERS
from dure.services.desks import Services


@get("/favicon.ico", opt={"action": "service.read"}, sync_to_thread=False)
def favicon() -> Redirect:
    """Lead browsers that ask for the old name to our picture."""
    return Redirect("/static/logo.svg", status_code=301)


def make_site(
    services: Services,
    *,
    is_secure: bool = False,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Litestar:
    """Make the pages over a set of services.

    Args:
        is_secure: browsers come by HTTPS; False only for plain http on this very machine.
        random_bytes: a source fit for secrets.
    """
    headers: Any = dict(SECURITY_HEADERS)
    return Litestar(
        route_handlers=[
            *public_pages.ROUTES,
            *programme_pages.ROUTES,
            *data_pages.ROUTES,
            *office_pages.ROUTES,
            *application_pages.ROUTES,
            *stage_pages.ROUTES,
            *committee_pages.ROUTES,
            *reviewer_pages.ROUTES,
            *supply_pages.ROUTES,
            *offer_pages.ROUTES,
            *notice_pages.ROUTES,
            *holding_pages.ROUTES,
            *work_pages.ROUTES,
            *session_pages.ROUTES,
            *care_pages.ROUTES,
            *people_pages.ROUTES,
            favicon,
        ],
        guards=[guard_door],
        exception_handlers=ERROR_PAGES,
        openapi_config=None,
        request_max_body_size=FORM_BYTES_MAX,
        response_headers=headers,
        state=State({"services": services, "is_secure": is_secure, "random_bytes": random_bytes}),
    )
