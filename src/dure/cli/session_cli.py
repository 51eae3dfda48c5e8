"""``dure session``: a notebook or a terminal on GPUs, opened in a browser."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dure.cli.cells import code_column, moment_column, number_column, text_column
from dure.cli.following import ALIVE
from dure.cli.groups import command_group
from dure.cli.options import (
    HERE,
    URL,
    AnyPoolOption,
    KeyOption,
    OutputOption,
    PoolOption,
    UrlOption,
    connect,
)
from dure.cli.output import Output, note, say, show_facts, show_rows, stop
from dure.cli.work import cancel, find, refusal

if TYPE_CHECKING:
    from dure.cli.client import Service

POLL_S = 0.5
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The session's number.")]
GpusOption = Annotated[int, typer.Option("--gpus", min=1, help="How many GPUs.")]
TimeOption = Annotated[
    str, typer.Option("--time", metavar="TIME", help="It ends after so long: 90m, 4h.")
]
ProjectOption = Annotated[
    str, typer.Option("--project", metavar="P", help="Whose allocation it draws on.")
]
AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", metavar="TYPE", help="B200, or B200|H200.")
]
ImageOption = Annotated[
    str, typer.Option("--image", metavar="IMAGE", help="The container image that it runs in.")
]
PreemptibleOption = Annotated[
    bool, typer.Option("--preemptible", help="It may run on lent GPUs, and be called away.")
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Print its number at once; do not wait for its start.")
]
BrowserOption = Annotated[
    bool, typer.Option("--browser", help="Open the link in this machine's browser as well.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``dure``."""
    group = command_group("A notebook or a terminal on GPUs.")
    tail = "wait for its start and print a link that opens it once."
    group.command("jupyter", help=f"Begin a notebook server, {tail}")(_beginning("jupyter"))
    group.command("shell", help=f"Begin a terminal, {tail}")(_beginning("shell"))
    group.command("list")(list_sessions)
    group.command("open")(open_session)
    group.command("stop")(stop_session)
    app.add_typer(group, name="session")


def _beginning(kind: str) -> Callable[..., None]:
    """Return the command that begins a session of this kind."""

    def begin(
        gpus: GpusOption = 1,
        lasting: TimeOption = "4h",
        project: ProjectOption = "",
        accelerator: AcceleratorOption = "",
        image: ImageOption = "",
        preemptible: PreemptibleOption = False,
        detach: DetachOption = False,
        browser: BrowserOption = False,
        key: KeyOption = "",
        pool: PoolOption = HERE,
        url: UrlOption = URL,
        output: OutputOption = Output.TABLE,
    ) -> None:
        from dure.services.requests.session_text import session_text

        text = session_text(
            kind,
            gpus=gpus,
            time=lasting,
            accelerator=accelerator,
            preemptible=preemptible,
            image=image,
        )
        _begin(text, project, key, pool, url, output, is_awaited=not detach, in_browser=browser)

    return begin


def _begin(
    text: str,
    project: str,
    key: str,
    pool: str,
    url: str,
    output: Output,
    *,
    is_awaited: bool,
    in_browser: bool,
) -> None:
    from dure.cli.client import new_key, path_of
    from dure.cli.following import refused_at_once

    service = connect(url)
    body = {"form": "yaml", "text": text, "project": project}
    job = service.post(path_of("pools", pool, "jobs"), body, key=key or new_key())["job"]
    if (reason := refused_at_once(service, job, pool=pool)) is not None:
        raise stop("job_refused", job=job, why=refusal(reason))
    if not is_awaited:
        show_facts({"job": job}, (), output) if output is not Output.TABLE else typer.echo(job)
        return
    note(say("session.waits", job=job))
    while (state := find(service, job, "", pool)[0]["row"]["state"]) == "PENDING":
        time.sleep(POLL_S)
    if state not in ALIVE:
        raise stop("session.over", job=job)
    _show_link(service, job, output, in_browser=in_browser)


def _show_link(service: "Service", job: str, output: Output, *, in_browser: bool) -> None:
    from dure.cli.client import path_of

    link: dict[str, Any] = service.post(path_of("jobs", job, "session"), {})
    if output is not Output.TABLE:
        show_facts({"job": job, **link}, (), output)
    else:
        # The link alone on stdout: it is what a script wants.
        note(f"{job}: {say('session.link', lasts_s=link['lasts_s'])}")
        typer.echo(link["url"])
    if in_browser:
        import webbrowser

        webbrowser.open(link["url"])


def list_sessions(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """List your own sessions that are not over."""
    found = connect(url).get("/sessions")
    columns = (
        text_column("job"),
        code_column("session", "session_kind", "interactive"),
        code_column("state", "jobstate"),
        number_column("gpus"),
        moment_column("submitted", "submit_at_s"),
        moment_column("start", "start_at_s"),
    )
    show_rows([{"pool": one["pool"], **one["row"]} for one in found], columns, output)


def open_session(
    job: JobArgument,
    browser: BrowserOption = False,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print a link that opens one of your sessions that runs; it works once."""
    _show_link(connect(url), job, output, in_browser=browser)


def stop_session(
    job: JobArgument,
    pool: AnyPoolOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a session; doing so twice changes nothing."""
    cancel(job, pool, url, output)
