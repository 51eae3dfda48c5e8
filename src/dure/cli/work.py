"""``dure submit``, ``jobs``, ``why``, ``cancel`` and ``output``: one's work in a pool."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli.cells import (
    HOUR_S,
    code_column,
    made_column,
    moment,
    moment_column,
    name_of,
    number_column,
    text_column,
)
from dure.cli.options import (
    HERE,
    LIMIT,
    URL,
    AnyPoolOption,
    KeyOption,
    LimitOption,
    OutputOption,
    PoolOption,
    UrlOption,
    connect,
    rows_of,
)
from dure.cli.output import Output, Row, lang, note, say, show_facts, show_rows, stop, words

FORM_OF_SUFFIX = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".sbatch": "sbatch",
    ".slurm": "sbatch",
    ".sh": "sbatch",
}
JOB_BYTES_MAX = 512 * 1024


def register(app: typer.Typer) -> None:
    """Add the five commands to the ``dure`` command."""
    app.command("submit")(submit)
    app.command("jobs")(jobs)
    app.command("why")(why)
    app.command("cancel")(cancel)
    app.command("output")(output_of)


def submit(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="A .yaml, .sbatch or .sh file.")],
    project: Annotated[
        str, typer.Option("--project", metavar="P", help="Whose allocation it draws on.")
    ] = "",
    workdir: Annotated[
        Path | None,
        typer.Option("--workdir", metavar="DIR", help="The files that it begins with."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; exit 1 unless it completed.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="The same, and show what it prints.")
    ] = False,
    key: KeyOption = "",
    pool: PoolOption = HERE,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Hand a job in; its number is printed, and it is durable by then."""
    from dure.cli.client import new_key, path_of
    from dure.cli.following import refused_at_once, watch_all

    service = connect(url)
    body = {"form": form_of(job), "text": _text(job), "project": project}
    folder = workdir or _named_workdir(body["form"], body["text"], job)
    if folder is not None:
        body["workdir_sha256"] = _send_workdir(service, pool, folder)
    if service.is_here:
        # The job's files lie beside it only if the pool's machine is this one.
        body["submit_dir"] = str(Path.cwd())
    taken = service.post(path_of("pools", pool, "jobs"), body, key=key or new_key())
    if output is not Output.TABLE:
        show_facts(taken, (), output)
    elif follow:
        # What the job prints is the answer, so its number stands beside.
        note(taken["job"])
    else:
        typer.echo(taken["job"])
    if output is Output.TABLE and _is_session(service, taken["jobs"][0], body["text"], pool):
        note(_how_to_open(service, taken["jobs"][0]))
    if wait or follow:
        watch_all(service, taken["jobs"], pool=pool, with_output=follow)
    elif (reason := refused_at_once(service, taken["jobs"][0], pool=pool)) is not None:
        raise stop("job_refused", job=taken["job"], why=refusal(reason))


def _is_session(service: Any, job: str, text: str, pool: str) -> bool:
    """Tell whether a job that was just handed in is interactive; few are asked for."""
    return "interactive" in text and bool(find(service, job, "", pool)[0]["row"]["interactive"])


def _how_to_open(service: Any, job: str) -> str:
    """Say where whoever began a session opens it."""
    return say("session.how_to_open", job=job, url=service.url)


def _named_workdir(form: str, text: str, job: Path) -> Path | None:
    """Return the folder that a YAML file names, from where the command runs, as SkyPilot does."""
    if form != "yaml" or "workdir" not in text:
        return None
    from dure.services.requests import parse_job_yaml

    named = parse_job_yaml(text, str(job)).workdir
    return Path(named).expanduser() if named else None


def _send_workdir(service: Any, pool: str, folder: Path) -> str:
    """Pack a folder and send it unless it was sent before; return its sha-256."""
    import tempfile

    from dure.cli.client import MissingError, path_of
    from dure.cli.workdir import pack

    with tempfile.TemporaryFile() as archive:
        sha256 = pack(folder, archive)
        address = path_of("pools", pool, "workdirs", sha256)
        try:
            service.get(address)
        except MissingError:
            archive.seek(0)
            service.send("PUT", address, content=archive)
        return sha256


def form_of(job: Path) -> str:
    """Tell by a file's name how the job is written."""
    form = FORM_OF_SUFFIX.get(job.suffix.lower())
    if form is None:
        raise stop("job_suffix", code=2, file=job, expected=", ".join(FORM_OF_SUFFIX))
    return form


def _text(job: Path) -> str:
    try:
        content = job.read_bytes()
    except OSError as wrong:
        why = wrong.strerror or str(wrong)
        raise stop("cannot_read", code=2, file=job, why=why) from None
    if len(content) > JOB_BYTES_MAX:
        raise stop("job_size", code=2, file=job, found=len(content), most=JOB_BYTES_MAX)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise stop("not_utf8", code=2, file=job, at=wrong.start) from None


def jobs(
    state: Annotated[
        str, typer.Option("--state", metavar="STATE", help="Only these: PENDING, RUNNING ...")
    ] = "",
    limit: LimitOption = LIMIT,
    pool: PoolOption = HERE,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the running, waiting and lately ended jobs that you may see."""
    from dure.cli.client import path_of
    from dure.cli.following import ALIVE
    from dure.core.layout import JOB_STATES

    if state and state.upper() not in JOB_STATES:
        raise stop("job_state", code=2, found=state, expected=", ".join(JOB_STATES))
    service = connect(url)
    part = service.rows(path_of("pools", pool, "jobs"), limit=limit, state=state)
    columns = (
        text_column("job"),
        text_column("title"),
        text_column("state"),
        code_column("kind", "kind"),
        made_column("owner", lambda row: str(row["project"] or row["provider"])),
        text_column("accelerator"),
        number_column("gpus"),
        moment_column("submitted", "submit_at_s"),
        made_column("start", _start),
        made_column("held", lambda row: held(row["held_s"])),
        made_column("gpu_hours", lambda row: f"{row['gpu_s'] / HOUR_S:,.2f}"),
        number_column("exit_code"),
        made_column("reason", lambda row: reason_of(row)),
    )
    rows = rows_of(part)
    show_rows(rows, columns, output)
    sessions = [str(row["job"]) for row in rows if row["interactive"] and row["state"] in ALIVE]
    if sessions and output is Output.TABLE:
        note(say("session.among_jobs", jobs=", ".join(sessions), url=service.url))


def held(seconds: int) -> str:
    """Return a time on GPUs as Slurm writes it, days first."""
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


def _start(row: Row) -> str:
    """Tell when a job started, or when it will at the earliest."""
    if row["start_at_s"] is None and row["earliest_s"] is not None:
        return say("not_before", at_s=row["earliest_s"])
    return moment(row["start_at_s"])


def reason_of(row: Row) -> str:
    """Return in a few words why a job waits or was refused."""
    return words(f"whyshort.{row['reason']}", otherwise=row["reason"]) if row["reason"] else ""


def refusal(code: str) -> str:
    """Return the sentence of why a job was refused, in a few words if it needs more numbers."""
    from dure.reports.messages import MessageError

    try:
        return words(f"why.{code}", otherwise=code)
    except MessageError:
        return words(f"whyshort.{code}", otherwise=code)


def find(service: Any, job: str, what: str, pool: str) -> tuple[Any, str]:
    """Get a job's document; without a pool, ``here`` comes first, then every other.

    Returns:
        The document, and the pool that was named in the question ("" for any).
    """
    from dure.cli.client import MissingError, path_of

    path = path_of("jobs", job) + what
    if pool:
        return service.get(path, pool=pool), pool
    try:
        return service.get(path, pool=HERE), HERE
    except MissingError:
        return service.get(path), ""


def why(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its number.")],
    pool: AnyPoolOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say why a job waits, what would change that, and when it starts at the earliest."""
    from dure.cli.following import ALIVE
    from dure.reports.job_words import asked

    service = connect(url)
    found, place = find(service, job, "/why", pool)
    detail, _ = find(service, job, "", place or pool)
    row = detail["row"]
    facts = [
        ("job", row["job"]),
        ("title", row["title"]),
        ("pool", detail["pool"]),
        ("state", words(f"jobstate.{row['state']}", otherwise=row["state"])),
    ]
    if found["waits"]:
        facts += [
            ("why", name_of(found["text"])),
            ("earliest", moment(found["earliest_s"])),
            *_intervals(found),
            *(("held_by", _holder(one)) for one in found["held_by"]),
            *(("would_help", name_of(one["text"])) for one in found["would_help"]),
        ]
    else:
        facts += [
            ("reason", refusal(row["reason"])),
            ("start", moment(row["start_at_s"])),
            ("end", moment(row["end_at_s"])),
        ]
    if detail["stop_by_s"] is not None:
        by_s = detail["stop_by_s"]
        sentence = words(f"stop_by.{detail['stop_cause']}", otherwise="", stop_by_s=by_s)
        facts.append(("stop_by", sentence or moment(by_s)))
    facts += [("attempt", _attempt(one)) for one in detail["attempts"]]
    facts += [
        ("asked", f"{words(f'asked.{name}', otherwise=name)}: {asked(lang(), name, value)}")
        for name, value in detail["asked"].items()
    ]
    if row["interactive"] and row["state"] in ALIVE:
        facts.append(("session", _how_to_open(service, row["job"])))
    show_facts({**found, "state": row["state"], "pool": detail["pool"]}, facts, output)


def _intervals(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return when it starts: both intervals, or two moments where no interval is known."""
    if found["half"] is None:
        return [("likely", moment(found["likely_s"])), ("surely", moment(found["surely_s"]))]
    waits = found["learned_from"]
    basis = say("learned", waits=waits) if waits else say("assumed")
    half, most = (say("span", **found[name]) for name in ("half", "most"))
    return [("half", f"{half} ({basis})"), ("most", most)]


def _holder(one: dict[str, Any]) -> str:
    from dure.reports import formats

    until_s = one["until_s"]
    parts = (
        one["job"],
        formats.gpus(lang(), one["gpus"]),
        words(f"kind.{one['kind']}", otherwise=one["kind"]),
        "" if until_s is None else say("until", until_s=until_s),
    )
    return "  ".join(part for part in parts if part)


def _attempt(one: dict[str, Any]) -> str:
    from dure.reports import formats

    end = words(f"end_cause.{one['end_cause']}", otherwise=say("still_running"))
    nodes = ", ".join(one["nodes"][:3]) + (" ..." if len(one["nodes"]) > 3 else "")
    kind = words(f"kind.{one['kind']}", otherwise=one["kind"])
    gpus = formats.gpus(lang(), one["gpus"])
    return f"{one['attempt']}  {kind}  {gpus}  {nodes}  {moment(one['from_s'])}  {end}"


def cancel(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its number.")],
    pool: AnyPoolOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a job back, or stop it; doing so twice changes nothing."""
    from dure.cli.client import path_of

    service = connect(url)
    _, place = find(service, job, "", pool)
    answer = service.post(path_of("jobs", job, "cancel"), {}, pool=place)
    if output is Output.TABLE:
        key = f"job.answer_{answer['answer']}"
        typer.echo(f"{job}: {words(key, otherwise=answer['answer'])}")
    else:
        show_facts(answer, (), output)


def output_of(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its number.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until the job has ended.")
    ] = False,
    pool: AnyPoolOption = "",
    url: UrlOption = URL,
) -> None:
    """Show what a job has printed."""
    from dure.cli.following import Printer, watch

    service = connect(url)
    _, place = find(service, job, "", pool)
    if follow:
        watch(service, job, pool=place, with_output=True)
    else:
        Printer(service, job, pool=place).print_new()
