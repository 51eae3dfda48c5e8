"""``dure data``: the files of a project, from anywhere; its backup, on the machine itself."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli.cells import code_column, made_column, moment_column, number_column, text_column
from dure.cli.groups import command_group
from dure.cli.ledger import DEFAULT_DATA, DataOption
from dure.cli.options import (
    LIMIT,
    URL,
    KeyOption,
    LimitOption,
    OutputOption,
    UrlOption,
    connect,
    rows_of,
)
from dure.cli.output import Output, lang, note, plain, say, show_facts, show_rows, stop

data = command_group("Files of a project: list, send, fetch, keep.")
ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="The project.")]
PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="Inside the project's folder.")]
SnapshotArgument = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="A snapshot's name.")]
NoPath = Annotated[str, typer.Argument(metavar="[PATH]", help="Inside the project's folder.")]


def register(app: typer.Typer) -> None:
    """Add the group to the ``dure`` command."""
    app.add_typer(data, name="data")


@data.callback()
def data_group() -> None:
    """List, send, fetch and keep the files of a project."""


@data.command("ls")
def ls(
    project: ProjectArgument,
    path: NoPath = "",
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List a folder of a project."""
    from dure.cli.client import path_of

    part = connect(url).rows(path_of("projects", project, "files"), limit=limit, path=path)
    columns = (
        text_column("name"),
        code_column("what", "filekind", "kind"),
        made_column("size", lambda row: size(row["bytes"]) if row["kind"] == "file" else ""),
        moment_column("changed", "modified_at_s"),
    )
    show_rows(rows_of(part), columns, output)


def size(value: int) -> str:
    """Return a number of bytes as people read it."""
    from dure.reports import formats

    return formats.size(lang(), value)


@data.command("use")
def use(
    project: ProjectArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Say what a project's files take beside its quota."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("projects", project, "storage"))
    names = ("quota", "used", "free", "over", "files", "uploads", "snapshots")
    facts = [(name, size(found[f"{name}_bytes"])) for name in names]
    shown = [(name, text) for name, text in facts if name != "over" or found["over_bytes"]]
    show_facts(found, shown, output)


@data.command("put")
def put(
    project: ProjectArgument,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file, or a folder: all of it.")],
    path: NoPath = "",
    url: UrlOption = URL,
) -> None:
    """Send a file or folder; sent again after a break, it goes on where it stopped."""
    from dure.cli.transfers import bar, upload

    service = connect(url)
    into = path.strip("/") or source.resolve().name
    sent = 0
    for file in _files_below(source):
        inner = file.relative_to(source).as_posix() if file != source else ""
        to = f"{into}/{inner}" if inner else into
        with bar(to, file.stat().st_size) as tell:
            upload(service, project, file, to, tell)
        sent += 1
    note(say("data.sent", files=sent))


def _files_below(source: Path) -> list[Path]:
    """Return a file, or the plain files below a folder; links are passed over, and said."""
    if not source.is_dir():
        if not source.is_file():
            raise stop("cannot_read", code=2, file=source, why=os.strerror(2))
        return [source]
    found = []
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_symlink() or not file.is_file():
                note(say("data.passed_over", file=file))
            else:
                found.append(file)
    return found


@data.command("get")
def get(
    project: ProjectArgument,
    path: PathArgument,
    target: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; here under its own name.")
    ] = None,
    url: UrlOption = URL,
) -> None:
    """Fetch a file, or a folder with all that is in it; fetched again, it goes on."""
    from dure.cli.client import path_of
    from dure.cli.transfers import bar, download

    service, path = connect(url), path.strip("/")
    above, _, name = path.rpartition("/")
    listed = service.rows(path_of("projects", project, "files"), path=above).rows
    found = next((row for row in listed if row["name"] == name), None)
    if found is None:
        raise stop("data_missing", file=path)
    target = target or Path(name)
    fetched = 0
    for row, inner in _rows_below(service, project, path, found, ""):
        to = target / inner if inner else target
        if row["kind"] == "folder":
            to.mkdir(parents=True, exist_ok=True)
        elif row["kind"] == "file":
            with bar(plain(to.name), row["bytes"]) as tell:
                download(service, project, f"{path}/{inner}" if inner else path, to, tell)
            fetched += 1
        else:
            note(say("data.passed_over", file=plain(f"{path}/{inner}")))
    note(say("data.fetched", files=fetched))


def _rows_below(
    service: Any, project: str, path: str, row: dict[str, Any], inner: str
) -> list[tuple[dict[str, Any], str]]:
    """Return what lies at ``inner`` below ``path`` and everything in it, folders first."""
    from dure.cli.client import path_of

    found = [(row, inner)]
    if row["kind"] != "folder":
        return found
    place = f"{path}/{inner}" if inner else path
    for one in service.rows(path_of("projects", project, "files"), path=place).rows:
        # A name comes from strangers: it may be a name and nothing else.
        if "/" not in one["name"] and one["name"] not in ("", ".", ".."):
            below = f"{inner}/{one['name']}" if inner else one["name"]
            found += _rows_below(service, project, path, one, below)
    return found


@data.command("rm")
def rm(
    project: ProjectArgument,
    path: PathArgument,
    with_all: Annotated[
        bool, typer.Option("--all", help="A folder with all that is in it.")
    ] = False,
    url: UrlOption = URL,
) -> None:
    """Remove a file or folder."""
    from dure.cli.transfers import file_address

    query = {"all": "1"} if with_all else {}
    connect(url).send("DELETE", file_address(project, path.strip("/")), query)


@data.command("mkdir")
def mkdir(project: ProjectArgument, path: PathArgument, url: UrlOption = URL) -> None:
    """Make a folder and those above it."""
    from dure.cli.client import path_of

    connect(url).send("PUT", path_of("projects", project, "folders", *path.strip("/").split("/")))


@data.command("snapshot")
def snapshot(
    project: ProjectArgument,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Its name; the moment without one.")
    ] = "",
    is_over: Annotated[bool, typer.Option("--remove", help="Remove the one of this name.")] = False,
    key: KeyOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep all files of a project under a name, or remove what was kept."""
    from dure.cli.client import new_key, path_of
    from dure.cli.transfers import WAIT_S_MAX

    service, address = connect(url), path_of("projects", project, "snapshots")
    if is_over:
        if not name:
            raise stop("data_name", code=2)
        service.send("DELETE", f"{address}{path_of(name)}")
        return
    taken = service.send(
        "POST",
        address,
        json={"snapshot": name},
        headers={"idempotency-key": key or new_key()},
        wait_s=WAIT_S_MAX,
    ).json()
    _show_snapshots([taken], output)


@data.command("snapshots")
def snapshots(
    project: ProjectArgument,
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the snapshots of a project."""
    from dure.cli.client import path_of

    part = connect(url).rows(path_of("projects", project, "snapshots"), limit=limit)
    _show_snapshots(rows_of(part), output)


def _show_snapshots(rows: list[Any], output: Output) -> None:
    columns = (
        text_column("snapshot"),
        moment_column("taken", "taken_at_s"),
        text_column("user", "taken_by"),
        number_column("file_count", "files"),
        made_column("size", lambda row: size(row["bytes"])),
        number_column("left_out"),
    )
    show_rows(rows, columns, output)


@data.command("restore")
def restore(
    project: ProjectArgument,
    name: SnapshotArgument,
    is_sure: Annotated[
        bool, typer.Option("--yes", help="Replace what stands there, without asking.")
    ] = False,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a project's files what they were in a snapshot; what stands there now is gone."""
    from dure.cli.client import path_of
    from dure.cli.transfers import WAIT_S_MAX

    if not is_sure and not typer.confirm(say("data.replace", project=project), err=True):
        raise typer.Abort
    address = path_of("projects", project, "snapshots", name, "restore")
    restored = connect(url).send("POST", address, wait_s=WAIT_S_MAX).json()
    _show_snapshots([restored], output)


@data.command("backup")
def backup(
    project: ProjectArgument,
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="A .tar.gz or .tar.zst.")],
    snapshot: Annotated[
        str, typer.Option("--snapshot", metavar="NAME", help="Of this snapshot, not of now.")
    ] = "",
    where: DataOption = DEFAULT_DATA,
) -> None:
    """Write a project's files into one archive with their checksums; on the machine itself."""
    from dure.app.project_files import back_up_project

    about = back_up_project(where, project, archive, snapshot=snapshot)
    note(say("data.kept", files=about["files"], size=size(about["bytes"]), file=archive))


@data.command("recover")
def recover(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What backup wrote.")],
    project: Annotated[
        str, typer.Option("--project", metavar="P", help="Into this one, not the one it was of.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    where: DataOption = DEFAULT_DATA,
) -> None:
    """Bring a project's files back from an archive; each is checked before any is replaced."""
    from dure.app.project_files import recover_project

    about = recover_project(where, archive, project=project, is_forced=force)
    note(say("data.recovered", files=about["files"], size=size(about["bytes"])))
