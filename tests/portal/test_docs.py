"""The documents name every page and every path that is served, and none besides."""

import re
from collections.abc import Callable

import pytest
from litestar import Litestar

from dure.api.application import make_app
from dure.portal.site import make_site
from dure.services.desks import Services
from tests.architecture.source_tree import text
from tests.portal.filled_programme import filled_services
from tests.portal.test_doors import routes

# The OpenAPI document's own addresses are named in the text.
NOT_PATHS = {"/api", "/api/{path}", "/api/openapi.json"}


@pytest.mark.parametrize(
    ("document", "make"), [("docs/portal.md", make_site), ("docs/api.md", make_app)]
)
def test_the_document_has_a_line_for_every_path(
    document: str, make: Callable[[Services], Litestar]
) -> None:
    served = {
        re.sub(r"\{(\w+):\w+\}", r"{\1}", path) for _, path, _ in routes(make(filled_services()))
    } - NOT_PATHS
    rows = "\n".join(line for line in text(document).splitlines() if line.startswith("| `"))
    first_cells = "\n".join(row.split(" | ")[0] for row in rows.splitlines())
    told = {
        path.split("?")[0]
        for path in re.findall(r"`(?:GET |POST |PUT |DELETE )?(/[^`]*)`", first_cells)
    }

    assert served - told == set(), "add a line"
    assert told - served == set(), "nothing is served there"
