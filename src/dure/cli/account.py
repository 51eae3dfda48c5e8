"""``dure login``, ``dure logout`` and ``dure whoami``."""

import sys
from typing import Annotated

import typer

from dure.cli.cells import code, moment
from dure.cli.options import URL, OutputOption, UrlOption, connect
from dure.cli.output import Output, note, say, show_facts, stop

PASSWORD_BYTES_MAX = 1000
LABEL = "dure login"


def register(app: typer.Typer) -> None:
    """Add the three commands to the ``dure`` command."""
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("whoami")(whoami)


def login(
    user: Annotated[str, typer.Argument(metavar="[USER]", help="Asked for if not given.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long the token is valid.")] = 30,
    url: UrlOption = URL,
) -> None:
    """Sign in: exchange a password for a token, which is kept in a file of your own."""
    from dure.cli.client import Service
    from dure.cli.session import Signed, keep

    service = Service(url, token="")
    if not user and password_stdin:
        raise stop("user_needed", code=2)
    user = user or typer.prompt(say("login.user"), err=True)
    if password_stdin:
        password = sys.stdin.read(PASSWORD_BYTES_MAX).rstrip("\r\n")
    else:
        password = typer.prompt(say("login.password"), hide_input=True, err=True)
    body = {"user": user, "password": password, "label": LABEL, "days": days}
    given = service.post("/login", body)
    signed = Signed(given["user"], given["token"], given["token_id"], given["expires_at_s"])
    keep(service.url, signed)
    roles = ", ".join(code("role", one) for one in given["roles"])
    typer.echo(say("login.done", user=signed.user, roles=roles, until_s=signed.expires_at_s))


def logout(url: UrlOption = URL) -> None:
    """Sign out: end the kept token at the service, and forget it here."""
    from dure.cli.client import MissingError, Service, path_of
    from dure.cli.output import StopError
    from dure.cli.session import checked_url, forget, signed_in

    address = checked_url(url)
    signed = signed_in(address)
    if signed is None:
        note(say("logout.nobody", url=address))
        return
    # Forgotten first: a token that the service cannot be told to end is at least not used again.
    forget(address)
    try:
        Service(address, signed.token).post(path_of("me", "tokens", signed.token_id, "revoke"), {})
    except MissingError:
        pass
    except StopError as wrong:
        raise StopError(f"{wrong} {say('logout.only_here', until_s=signed.expires_at_s)}") from None
    typer.echo(say("logout.done", user=signed.user))


def whoami(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """Say for whom the token speaks: the user, roles, projects, provider."""
    service = connect(url)
    me = service.get("/me")
    facts = [
        ("user", me["user"]),
        ("name", me["name"]),
        ("roles", ", ".join(code("role", one) for one in me["roles"])),
        ("projects", ", ".join(me["projects"])),
        ("provider", me["provider"]),
        ("service", service.url),
        *(
            ("token", f"{one['token_id']}  {one['label']}  {moment(one['expires_at_s'])}")
            for one in me["tokens"]
        ),
    ]
    show_facts(me, facts, output)
