"""Read an application's form and hold it against its call; every problem at once, by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from dure.core.events.programme import CallPublished, Group, Work
from dure.core.programme import Problem, Refusal

Grade = Literal["C", "S", "O"]
WORK_KINDS = ("pretraining", "finetuning", "inference", "simulation", "robotics", "other")
GROUPS: tuple[str, ...] = get_args(Group)
GRADES: tuple[str, ...] = get_args(Grade)

TEXT_LENGTH_MAX = 200
# No model, data set or term comes near; beyond it a product of two would leave 64 bits.
NUMBER_MAX = 10**9
_REQUIRED = ("title_ko", "organisation", "group", "accelerator", "gpus", "months")
_TEXTS = ("title_ko", "title_en", "organisation", "category", "region", "project")
_NUMBERS = ("gpus", "months", "parameters_m", "tokens_m", "mfu_milli")
_CHOICES = ("group", "accelerator", "grade", "work_kind")
FIELDS = (*_TEXTS, *_NUMBERS, *_CHOICES)


@dataclass(frozen=True, slots=True)
class Form:
    """A form that reads and keeps the rules of its call. ``project`` "" starts a new one."""

    project: str
    title_ko: str
    title_en: str
    organisation: str
    group: Group
    category: str
    accelerator: str
    gpus: int
    months: int
    region: str
    grade: Grade
    work: Work


def check_moment(call: CallPublished, *, at_s: int) -> Refusal | None:
    """Tell why nothing can be submitted at ``at_s``; the closing second itself is too late."""
    if at_s < call.opens_at_s:
        return Refusal.CALL_IS_NOT_OPEN_YET
    return Refusal.CALL_IS_CLOSED if at_s >= call.closes_at_s else None


def read_form(fields: Mapping[str, object], call: CallPublished) -> Form | tuple[Problem, ...]:
    """Read what a person typed (text) or a machine sent (text and numbers).

    Returns:
        The form; or all its problems, in the order of ``FIELDS``.
    """
    problems: list[Problem] = []
    choices = {
        "group": GROUPS,
        "accelerator": tuple(sorted(call.capacity)),
        "grade": GRADES,
        "work_kind": WORK_KINDS,
    }
    texts = {name: str(fields.get(name, "") or "").strip() for name in (*_TEXTS, *_CHOICES)}
    texts["grade"] = texts["grade"] or "O"
    texts["work_kind"] = texts["work_kind"] or "other"
    numbers = {name: _whole(fields.get(name)) for name in _NUMBERS}
    for name in FIELDS:
        given = str(fields.get(name, "") or "").strip() != ""
        if name in _REQUIRED and not given:
            problems.append(Problem(name, Refusal.FIELD_IS_MISSING))
        elif name in _TEXTS and len(texts[name]) > TEXT_LENGTH_MAX:
            longest = {"length_max": TEXT_LENGTH_MAX}
            problems.append(Problem(name, Refusal.FIELD_IS_TOO_LONG, longest))
        elif name in _NUMBERS and given and numbers[name] is None:
            problems.append(Problem(name, Refusal.FIELD_IS_NO_NUMBER))
        elif name in _CHOICES and texts[name] not in choices[name]:
            offered = {"offered": ", ".join(choices[name])}
            problems.append(Problem(name, Refusal.FIELD_IS_NOT_IN_LIST, offered))
    unknown = sorted(set(fields) - set(FIELDS))
    problems += [Problem(name, Refusal.FIELD_IS_UNKNOWN) for name in unknown]
    if problems:
        return tuple(problems)
    form = Form(
        project=texts["project"],
        title_ko=texts["title_ko"],
        title_en=texts["title_en"] or texts["title_ko"],
        organisation=texts["organisation"],
        group=cast(Group, texts["group"]),
        category=texts["category"],
        accelerator=texts["accelerator"],
        gpus=numbers["gpus"] or 0,
        months=numbers["months"] or 0,
        region=texts["region"],
        grade=cast(Grade, texts["grade"]),
        work=Work(
            kind=texts["work_kind"],
            parameters_m=numbers["parameters_m"] or 0,
            tokens_m=numbers["tokens_m"] or 0,
            mfu_milli=numbers["mfu_milli"] or 0,
        ),
    )
    return check_rules(form, call) or form


def check_rules(form: Form, call: CallPublished) -> tuple[Problem, ...]:
    """Hold size, term and group against the call."""
    problems: list[Problem] = []
    if form.group not in call.tracks:
        admitted = {"offered": ", ".join(sorted(call.tracks))}
        problems.append(Problem("group", Refusal.GROUP_IS_NOT_ADMITTED, admitted))
    cap_gpus = call.caps.get(form.accelerator, call.capacity[form.accelerator])
    if form.gpus > cap_gpus:
        cap: dict[str, int | str] = {"asked_gpus": form.gpus, "cap_gpus": cap_gpus}
        cap["accelerator"] = form.accelerator
        problems.append(Problem("gpus", Refusal.SIZE_IS_OVER_CAP, cap))
    elif form.gpus < 1 or form.gpus % call.node_gpus:
        node = {"asked_gpus": form.gpus, "node_gpus": call.node_gpus}
        problems.append(Problem("gpus", Refusal.SIZE_IS_NOT_WHOLE_NODES, node))
    if not 1 <= form.months <= call.months_max:
        term = {"asked_months": form.months, "months_max": call.months_max}
        problems.append(Problem("months", Refusal.TERM_IS_OVER_CAP, term))
    return tuple(problems)


def _whole(value: object) -> int | None:
    """Read a whole number from 0 up; thousands may be parted by commas."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= NUMBER_MAX else None
    text = str(value or "").strip().replace(",", "")
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(NUMBER_MAX)):
        return None
    return int(text) if int(text) <= NUMBER_MAX else None
