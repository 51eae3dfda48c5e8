"""The options that several commands share, and the way from them to the service."""

from typing import TYPE_CHECKING, Annotated

import typer

from dure.cli.output import Output, note, say

if TYPE_CHECKING:
    from dure.cli.client import Part, Service

URL = "http://127.0.0.1:8470"
HERE = "here"
LIMIT = 100

UrlOption = Annotated[
    str,
    typer.Option("--url", metavar="URL", envvar="DURE_URL", help="The running service."),
]
OutputOption = Annotated[
    Output, typer.Option("-o", "--output", help="For people, or for programs.")
]
PoolOption = Annotated[
    str, typer.Option("--in", metavar="POOL", envvar="DURE_IN", help="The pool: founding or here.")
]
# For one job: without the option, `here` comes first, then every other pool.
AnyPoolOption = Annotated[
    str,
    typer.Option(
        "--in", metavar="POOL", envvar="DURE_IN", help="The job's pool; without it all are tried."
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=0, help="At most so many rows; 0 shows all.")
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="KEY",
        help="The wish's own key: sent twice with one key, it is taken once.",
    ),
]


def connect(url: str) -> "Service":
    """Return the service at an address, speaking for whoever is signed in to it here."""
    from dure.cli.client import Service

    return Service(url)


def rows_of(part: "Part") -> list[dict[str, object]]:
    """Return a part's rows, and say so if there are more."""
    if part.has_more:
        note(say("more_rows", rows=len(part.rows)))
    return part.rows
