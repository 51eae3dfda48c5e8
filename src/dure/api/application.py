"""The API as one web application."""

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from dure.api import (
    account_routes,
    call_routes,
    care_routes,
    committee_routes,
    data_routes,
    delivery_routes,
    holding_routes,
    judging_routes,
    notice_routes,
    offer_routes,
    paper_routes,
    pool_routes,
    programme_routes,
    report_routes,
    reviewing_routes,
    service_routes,
    session_routes,
    site_routes,
    stream,
    supply_routes,
    work_routes,
    workdir_routes,
)
from dure.api.caller import guard_door
from dure.api.problems import HANDLERS
from dure.api.repeats import Repeats
from dure.api.stream import Listeners
from dure.services.desks import Services

BODY_BYTES_MAX = 1024 * 1024
HEADERS: dict[str, Any] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_app(services: Services, *, is_secure: bool = False) -> Litestar:
    """Make the API over a set of services.

    Args:
        is_secure: browsers come by HTTPS, as pages were made for.
    """
    public = {"action": "service.read"}
    versioned = Router(
        "/api/v1",
        route_handlers=[
            *pool_routes.ROUTES,
            *work_routes.ROUTES,
            *care_routes.ROUTES,
            *session_routes.ROUTES,
            *workdir_routes.ROUTES,
            *programme_routes.ROUTES,
            *data_routes.ROUTES,
            *call_routes.ROUTES,
            *paper_routes.ROUTES,
            *judging_routes.ROUTES,
            *committee_routes.ROUTES,
            *reviewing_routes.ROUTES,
            *supply_routes.ROUTES,
            *delivery_routes.ROUTES,
            *offer_routes.ROUTES,
            *notice_routes.ROUTES,
            *holding_routes.ROUTES,
            *report_routes.ROUTES,
            *account_routes.ROUTES,
            *service_routes.ROUTES,
            *site_routes.ROUTES,
            *stream.ROUTES,
        ],
    )
    return Litestar(
        route_handlers=[versioned, *service_routes.PLAIN_ROUTES],
        guards=[guard_door],
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        response_headers=HEADERS,
        openapi_config=OpenAPIConfig(
            title="Dure",
            version=services.version,
            description="Runs a nation's GPU pool: pools, jobs, loans, calls, projects.",
            path="/api",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            openapi_router=Router("/api", route_handlers=[], opt=public, include_in_schema=False),
            components=Components(
                security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}
            ),
            security=[{"token": []}, {}],
            use_handler_docstrings=True,
        ),
        state=State(
            {
                "services": services,
                "sites": services.sites,
                "is_secure": is_secure,
                "repeats": Repeats(),
                "listeners": Listeners(),
            }
        ),
    )
