"""The request for a job: one frozen value, checked the same way whoever wrote it down."""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from dure.core.errors import InputError
from dure.core.orders import JOB_ID, NOTICE_SIGNALS, ArrayPlace, Recipe
from dure.core.storage import checked_sha256
from dure.services.requests.arrays import array_indices
from dure.services.requests.images import image_name
from dure.services.requests.values import DURATION_S_MAX, locality, shown

TEXT_BYTES_MAX = 262_144
COMMAND_WORDS_MAX = 1_024
ENV_NAMES_MAX = 256
ENV_VALUE_BYTES_MAX = 32_768
NAME_LENGTH_MAX = 100
PATH_LENGTH_MAX = 1_024
AFTER_MAX = 64
GPUS_MAX = 1_000_000
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
ACCELERATOR = re.compile(
    r"(?:>=)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:\|(?:>=)?[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,15}"
)

Place = Callable[[str], str]


class Note(msgspec.Struct, frozen=True):
    """Something in the file that a person should know we read in our own way, or not at all.

    Attributes:
        line: of the file; 0 if it belongs to none.
        code: ``Kept`` (no effect here, not lost), ``Read`` (how we understood it).
        text: the words of the file.
        meaning: for ``Read``: the field and the value that came of it.
    """

    line: int
    code: Literal["Kept", "Read"]
    text: str
    meaning: str = ""


class JobRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"gang_class": "class"},
):
    """What somebody asks of a job. Fields are added with a default; none is renamed or reused.

    Attributes:
        name: what its owner calls it; for display.
        run: text of its script; or ``command``: program and arguments.
        setup: text of a script that runs before, in every attempt.
        gpus: devices of the whole gang; ``gpu_milli``: share of each, 1000 the whole.
        accelerator: "" any, ``B200``, ``B200|H200`` in order of preference, or ``>=H200`` for it
            and whatever is at least as fast.
        min_gpus: a gang that can run with fewer starts with this many or more; 0 for no fewer.
        nodes, gpus_per_node: the shape, 0 if the pool may choose it.
        segment_gpus: groups of ranks of this size stay on one node, or one leaf if they are larger;
            0 if the whole gang may stand anyhow.
        cpu_milli, memory_mib: on each node, 0 if it does not matter.
        estimate_s: how long an attempt will run, -1 if unknown.
        checkpoint_every_s: it saves by itself at this interval, 0 never.
        checkpoint_takes_s: it can save on notice in this time, -1 if it cannot.
        preemptible: it may be stopped for another; False runs only inside its allocation.
        gang_class: the one way it may run (``own``, ``loan``, ``scavenge``); "" any it may.
        deadline_at_s: when its result is worth nothing any more, -1 never.
        after: ids of jobs that must have completed; an array is all of its elements.
        after_any: ids of jobs that must be over, however they ended.
        after_start: ids of jobs that must have started, or be over.
        array: indices of a job array, as ``0-15``: one job for each; ``0-15%4`` for four of them
            at a time; "" for one job.
        notice_signal: see ``core.orders.Recipe``.
        workdir: the sender's own folder whose files it begins with, as the file names it.
        workdir_sha256: of the archive of that folder, which the sender sent before; "" for none.
        image: container image it runs in, an OCI reference; "" for none.
        dialect: ``dure`` or ``sbatch``.
        interactive: ``jupyter`` or ``shell``: people work in it through the portal until its
            ``estimate_s`` is over; it has no script then.
    """

    name: str = ""
    project: str = ""
    run: str = ""
    command: tuple[str, ...] = ()
    setup: str = ""
    gpus: int = 1
    gpu_milli: int = 1000
    accelerator: str = ""
    min_gpus: int = 0
    nodes: int = 0
    gpus_per_node: int = 0
    segment_gpus: int = 0
    cpu_milli: int = 0
    memory_mib: int = 0
    estimate_s: int = -1
    checkpoint_every_s: int = 0
    checkpoint_takes_s: int = -1
    preemptible: bool = False
    gang_class: Literal["", "own", "loan", "scavenge"] = ""
    locality: str = "any"
    grade: Literal["C", "S", "O"] = "O"
    deadline_at_s: int = -1
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    after_start: tuple[str, ...] = ()
    array: str = ""
    env: dict[str, str] = {}
    notice_signal: str = "USR1"
    submit_dir: str = ""
    workdir: str = ""
    workdir_sha256: str = ""
    image: str = ""
    dialect: Literal["dure", "sbatch"] = "dure"
    notes: tuple[Note, ...] = ()
    interactive: Literal["", "jupyter", "shell"] = ""

    def recipe(self, array: ArrayPlace | None = None) -> Recipe:
        """Return what a backend needs to run an attempt; ``array``: of which element of one."""
        return Recipe(
            script=self.run,
            command=self.command,
            setup=self.setup,
            env=dict(self.env),
            # A shell that people type into dies of every signal that could be one; they are told.
            notice_signal="none" if self.interactive else self.notice_signal,
            name=self.name,
            submit_dir=self.submit_dir,
            image=self.image,
            dialect=self.dialect,
            array=array,
            interactive=self.interactive,
            interactive_s=self.estimate_s if self.interactive else 0,
        )


def parse_job_json(text: bytes | str, where: str) -> JobRequest:
    """Read a request from JSON, as the API takes it and events keep it.

    Raises:
        InputError: by field.
    """
    try:
        request = msgspec.json.decode(text, type=JobRequest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        complaint, _, at = str(wrong).partition(" - at ")
        field = f" {at.strip('`$.')}".rstrip()
        raise InputError(
            where + field,
            found="JSON that is no job request",
            expected=f"the fields of docs/jobs.md ({complaint[:120]})",
        ) from wrong
    return checked(request, lambda name: f"{where} {name}")


def checked(request: JobRequest, place: Place) -> JobRequest:
    """Return the request if every field, and the fields together, can be meant.

    Args:
        place: from the name of a field to where it stands, for a message.

    Raises:
        InputError: for the first field that cannot.
    """
    _check_what_runs(request, place)
    _check_words(request, place)
    _check_counts(request, place)
    _check_together(request, place)
    return request


def without_break(text: str) -> bool:
    """Tell whether a text is one printable line."""
    return text.isprintable() and _is_storable(text)


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _check_what_runs(request: JobRequest, place: Place) -> None:
    told = [name for name in ("run", "command", "interactive") if getattr(request, name)]
    if len(told) != 1:
        raise InputError(
            place("run"),
            found=" and ".join(told) or "none of run, command and interactive",
            expected="one of them: run is a script, command a program and its arguments, "
            "interactive a session",
        )
    if request.interactive:
        _check_interactive(request, place)
    for name, text in (("run", request.run), ("setup", request.setup)):
        if not _is_storable(text) or len(text.encode()) > TEXT_BYTES_MAX:
            raise InputError(
                place(name),
                found=f"{len(text)} characters" if _is_storable(text) else "a NUL or half a letter",
                expected=f"text of at most {TEXT_BYTES_MAX} bytes",
            )
    words = request.command
    if words and (not words[0] or len(words) > COMMAND_WORDS_MAX):
        raise InputError(
            place("command"),
            found=f"{len(words)} words, the first {shown(words[0])}",
            expected=f"a program and at most {COMMAND_WORDS_MAX - 1} arguments",
        )
    if (
        not all(map(_is_storable, words))
        or sum(len(one.encode()) for one in words) > TEXT_BYTES_MAX
    ):
        raise InputError(
            place("command"),
            found="a NUL, half a letter or too much text",
            expected=f"words of together at most {TEXT_BYTES_MAX} bytes",
        )
    _check_env(request.env, place)


def _check_interactive(request: JobRequest, place: Place) -> None:
    if request.estimate_s < 1:
        raise InputError(
            place("estimate"),
            found="no estimate",
            expected="how long the session lasts, such as 4h: it ends then",
        )
    if request.array:
        raise InputError(
            place("array"), found=shown(request.array), expected="one session, no array of them"
        )
    if request.min_gpus not in (0, request.gpus):
        raise InputError(
            place("min_gpus"),
            found=str(request.min_gpus),
            expected="none: to give GPUs back a session would have to end",
        )


def _check_env(env: dict[str, str], place: Place) -> None:
    if len(env) > ENV_NAMES_MAX:
        raise InputError(place("env"), found=f"{len(env)}", expected=f"at most {ENV_NAMES_MAX}")
    for name, value in env.items():
        if ENV_NAME.fullmatch(name) is None or name.startswith("DURE_"):
            raise InputError(
                place("env"),
                found=shown(name),
                expected="names of letters, digits and '_', none beginning with DURE_",
            )
        if not _is_storable(value) or len(value.encode()) > ENV_VALUE_BYTES_MAX:
            raise InputError(
                place(f"env {name}"),
                found=shown(value),
                expected=f"text without NUL of at most {ENV_VALUE_BYTES_MAX} bytes",
            )


def _check_words(request: JobRequest, place: Place) -> None:
    if not without_break(request.name) or len(request.name) > NAME_LENGTH_MAX:
        raise InputError(
            place("name"),
            found=shown(request.name),
            expected=f"at most {NAME_LENGTH_MAX} printable characters on one line",
        )
    if request.project and JOB_ID.fullmatch(request.project) is None:
        raise InputError(
            place("project"), found=shown(request.project), expected="a project's id, or nothing"
        )
    if request.accelerator and ACCELERATOR.fullmatch(request.accelerator) is None:
        raise InputError(
            place("accelerator"),
            found=shown(request.accelerator),
            expected="a type such as B200, several as B200|H200, or at least one as >=H200",
        )
    if request.notice_signal.removeprefix("B:") not in (*NOTICE_SIGNALS, "none"):
        raise InputError(
            place("notice_signal"),
            found=shown(request.notice_signal),
            expected=f"one of {', '.join(NOTICE_SIGNALS)}, or none; 'B:' before it for the first "
            "process alone",
        )
    for name in ("after", "after_any", "after_start"):
        jobs: tuple[str, ...] = getattr(request, name)
        if len(jobs) > AFTER_MAX or not all(map(JOB_ID.fullmatch, jobs)):
            raise InputError(
                place(name),
                found=shown(", ".join(jobs)),
                expected=f"at most {AFTER_MAX} ids of jobs",
            )
    if request.submit_dir and not (
        request.submit_dir.startswith("/") and without_break(request.submit_dir)
    ):
        raise InputError(
            place("submit_dir"), found=shown(request.submit_dir), expected="a whole path"
        )
    if not without_break(request.workdir) or len(request.workdir) > PATH_LENGTH_MAX:
        raise InputError(
            place("workdir"), found=shown(request.workdir), expected="the path of a folder"
        )
    if request.workdir_sha256:
        checked_sha256(request.workdir_sha256)
    if request.image:
        image_name(request.image, place("image"))
    locality(request.locality, place("locality"))
    if request.array:
        array_indices(request.array, place("array"))


_BOUNDS = {
    "gpus": (1, GPUS_MAX),
    "gpu_milli": (1, 1000),
    "min_gpus": (0, GPUS_MAX),
    "nodes": (0, GPUS_MAX),
    "gpus_per_node": (0, 1_024),
    "segment_gpus": (0, GPUS_MAX),
    "cpu_milli": (0, 10_000_000),
    "memory_mib": (0, 1_000_000_000),
    "estimate_s": (-1, DURATION_S_MAX),
    "checkpoint_every_s": (0, DURATION_S_MAX),
    "checkpoint_takes_s": (-1, DURATION_S_MAX),
    "deadline_at_s": (-1, 1 << 40),
}


def _check_counts(request: JobRequest, place: Place) -> None:
    for name, (least, most) in _BOUNDS.items():
        value: Any = getattr(request, name)
        if not least <= value <= most:
            raise InputError(
                place(name), found=str(value)[:40], expected=f"a whole number, {least} to {most}"
            )


def _check_together(request: JobRequest, place: Place) -> None:
    asked, shape = request.gpus, request.nodes * request.gpus_per_node
    if shape and shape != asked:
        raise InputError(
            place("gpus"),
            found=f"{asked} GPUs on {request.nodes} nodes of {request.gpus_per_node}",
            expected=f"{shape} GPUs, or another shape",
        )
    if request.nodes > asked:
        raise InputError(
            place("nodes"),
            found=f"{request.nodes} nodes for {asked} GPUs",
            expected="a GPU or more on each node",
        )
    each = asked // request.nodes if request.nodes else request.gpus_per_node
    segment = request.segment_gpus
    if segment and (asked % segment or (each and segment % each and each % segment)):
        raise InputError(
            place("segment_gpus"),
            found=f"segments of {segment} of {asked} GPUs, {each or 'any number'} on a node",
            expected="a gang, and nodes, of whole segments (or segments of whole nodes)",
        )
    if request.min_gpus > asked:
        raise InputError(
            place("min_gpus"),
            found=str(request.min_gpus),
            expected=f"at most the {asked} asked for",
        )
    if request.gang_class in ("loan", "scavenge") and not request.preemptible:
        raise InputError(
            place("class"),
            found=f"class {request.gang_class} of a job that may not be stopped",
            expected="preemptible: true, since lent GPUs are called back",
            next_step="Say preemptible: true, or leave the class out.",
        )
