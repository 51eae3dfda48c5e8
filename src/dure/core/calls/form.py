"""The questions of a call, those of every form and its own, and how answers to them are read."""

import re
from collections.abc import Mapping
from typing import Any

from dure.core.calendar import moment_s
from dure.core.calls.model import (
    Call,
    Column,
    Condition,
    Field,
    FieldKind,
    Option,
    Words,
    holds,
)
from dure.core.errors import InputError
from dure.core.programme import Problem, Refusal

WORK_KINDS = ("pretraining", "finetuning", "inference", "hpc", "simulation", "robotics", "other")
METHODS = ("full", "lora")
GROUPS = ("academia", "industry", "research", "national", "provider")
GRADES = ("C", "S", "O")
PURPOSES = ("project", "beta", "class")

TEXT_LENGTH_MAX, LONG_LENGTH_MAX = 200, 4_000
ROWS_MAX = 50
# No model, data set or term comes near; beyond it a product of two would leave 64 bits.
NUMBER_MAX = 10**9
KRW_MAX = 10**15
CHOICES_MAX = 100
_FILE = re.compile(r"[0-9a-f]{64}")
_FOR_CLASS = Condition("purpose", among=("class",))
_FOR_TUNING = Condition("work_kind", among=("finetuning",))
_FOR_SERVING = Condition("work_kind", among=("inference",))
_FOR_HPC = Condition("work_kind", among=("hpc",))
_FOR_STEPS = Condition("work_kind", among=("simulation", "robotics"))
# Speed-up over one node, in thousandths, as measured on so many nodes.
_SCALING = (
    Column("nodes", "number", Words("노드 수", "Nodes"), required=True, least=1),
    Column("speed_up_milli", "number", Words("가속비(천분율)", "Speed-up (thousandths)"),
           required=True, least=1),
)  # fmt: skip


def _choice(
    name: str,
    values: tuple[str, ...],
    *,
    required: bool = False,
    several: bool = False,
    when: Condition | None = None,
) -> Field:
    options = tuple(Option(value, Words(value, value)) for value in values)
    kind: FieldKind = "choices" if several else "choice"
    return Field(name, kind, required=required, options=options, when=when)


def base_questions(call: Call) -> tuple[Field, ...]:
    """Return what every form of a call's kind asks; their labels are ``form.NAME``."""
    who = (
        Field("title_ko", "text", required=True),
        Field("title_en", "text"),
        Field("organisation", "text", required=True),
        Field("partners", "text", most=1_000),
    )
    if call.kind == "supply":
        return (
            *who,
            _choice("accelerator", call.accelerators, required=True),
            Field("gpus", "number", required=True),
            Field("months", "number"),
            Field("price_krw", "number", required=True, most=KRW_MAX),
            Field("in_service_on", "date", required=True),
            Field("region", "text"),
        )
    several_types = len(call.accelerators) > 1
    offers = {"project": True, "beta": call.beta is not None, "class": call.teaching is not None}
    purposes = tuple(name for name in PURPOSES if offers[name])
    asked: tuple[Field, ...] = (_choice("purpose", purposes),) if len(purposes) > 1 else ()
    if call.teaching is not None:
        asked += (
            Field("students", "number", required=True, least=1, when=_FOR_CLASS),
            Field("until", "date", required=True, when=_FOR_CLASS),
        )
    return (
        *who,
        _choice("group", _groups(call), required=True),
        Field("category", "text"),
        Field("registered_on", "date"),
        Field("region", "text"),
        *asked,
        _choice("accelerator", call.accelerators, required=True),
        Field("gpus", "number", required=True),
        Field("gpus_min", "number"),
        *((_choice("accepts", call.accelerators, several=True),) if several_types else ()),
        Field("months", "number", required=True),
        _choice("grade", GRADES),
        *work_questions(),
        Field("workload", "long"),
        Field("data_plan", "long"),
        Field("expected_results", "long"),
        Field("project", "text"),
    )


def work_questions() -> tuple[Field, ...]:
    """Return what right-sizing reads of the work; each kind of work is asked for its own."""
    return (
        _choice("work_kind", WORK_KINDS),
        Field("parameters_m", "number"),
        Field("tokens_m", "number"),
        Field("mfu_milli", "number"),
        _choice("method", METHODS, when=_FOR_TUNING),
        Field("requests_milli_s", "number", when=_FOR_SERVING),
        Field("input_tokens", "number", when=_FOR_SERVING),
        Field("output_tokens", "number", when=_FOR_SERVING),
        Field("latency_ms", "number", when=_FOR_SERVING),
        Field("node_hours", "number", when=_FOR_HPC),
        Field("serial_milli", "number", when=_FOR_HPC, most=1_000),
        Field("scaling", "table", when=_FOR_HPC, columns=_SCALING, most=20),
        Field("steps_m", "number", when=_FOR_STEPS),
        Field("steps_s", "number", when=_FOR_STEPS),
    )


def _groups(call: Call) -> tuple[str, ...]:
    """Return who may apply; where tracks go by more than the group, that alone excludes nobody."""
    teams = tuple(one for one in GROUPS if one != "provider")
    return teams if call.track_rules else tuple(one for one in teams if one in call.tracks)


BASE_FIELDS = frozenset(
    {
        "title_ko", "title_en", "organisation", "partners", "accelerator", "gpus", "months",
        "price_krw", "in_service_on", "region", "group", "category", "registered_on", "purpose",
        "students", "until", "grade", "work_kind", "parameters_m", "tokens_m", "mfu_milli",
        "workload", "data_plan", "expected_results", "project",
    }
)  # fmt: skip


def questions_of(call: Call) -> tuple[Field, ...]:
    """Return all questions of a call in the order in which they are asked.

    A call may ask one of ours in its own way; then ours is left out.
    """
    own = {one.field for one in call.form}
    return (*(one for one in base_questions(call) if one.field not in own), *call.form)


def read_answers(
    fields: Mapping[str, object], questions: tuple[Field, ...]
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Read what a person typed (text) or a machine sent (text, numbers, lists).

    Returns:
        The answers that could be read: text, whole numbers, dates as text, of several choices and
        of a table a list; what was left empty is not there. And all problems, in the order of the
        questions. An answer to what is not asked of this applicant is a problem, too.
    """
    answers: dict[str, Any] = {}
    problems: list[Problem] = []
    for question in questions:
        given = fields.get(question.field)
        answer = None if _is_empty(given) else _read(question, given)
        if not holds(question.when, answers):
            if answer not in (None, []):
                problems.append(Problem(question.field, Refusal.FIELD_IS_NOT_ASKED))
        elif isinstance(answer, Problem):
            problems.append(answer)
        elif answer not in (None, []):
            answers[question.field] = answer
        elif question.required:
            problems.append(Problem(question.field, Refusal.FIELD_IS_MISSING))
    known = {one.field for one in questions}
    unknown = sorted(str(name) for name in fields if name not in known)
    problems += [Problem(name, Refusal.FIELD_IS_UNKNOWN) for name in unknown]
    return answers, tuple(problems)


def _is_empty(given: object) -> bool:
    return given in (None, [], ()) or str(given).strip() == ""


def _read(question: Field, given: object) -> Any:
    match question.kind:
        case "choices":
            return _choices(question, given)
        case "table":
            return _table(question, given)
        case "file":
            text = str(given).strip()
            is_name = _FILE.fullmatch(text) is not None
            return text if is_name else Problem(question.field, Refusal.FILE_IS_UNKNOWN)
        case _:
            return _single(question, question.field, given)


def _single(question: Field | Column, where: str, given: object) -> Any:
    if question.kind == "number":
        return _number(question, where, given)
    text = str(given).strip()
    if question.kind == "choice":
        offered = [one.value for one in question.options]
        return text if text in offered else _not_in_list(where, offered)
    if question.kind == "date":
        return text if _is_date(text) else Problem(where, Refusal.FIELD_IS_NO_DATE)
    usual = LONG_LENGTH_MAX if question.kind == "long" else TEXT_LENGTH_MAX
    longest = question.most or usual
    if len(text) > longest:
        return Problem(where, Refusal.FIELD_IS_TOO_LONG, {"length_max": longest})
    return text


def _number(question: Field | Column, where: str, given: object) -> int | Problem:
    number = whole(given, most=max(question.most, NUMBER_MAX))
    if number is None:
        return Problem(where, Refusal.FIELD_IS_NO_NUMBER)
    most = question.most or NUMBER_MAX
    if not question.least <= number <= most:
        bounds = {"found": number, "least": question.least, "most": most}
        return Problem(where, Refusal.NUMBER_IS_OUT_OF_BOUNDS, bounds)
    return number


def _choices(question: Field, given: object) -> list[str] | Problem:
    parts = given if isinstance(given, list | tuple) else str(given).split(",")
    chosen = list(dict.fromkeys(str(one).strip() for one in parts if str(one).strip()))
    offered = [one.value for one in question.options]
    if any(one not in offered for one in chosen):
        return _not_in_list(question.field, offered)
    return chosen


def _table(question: Field, given: object) -> list[dict[str, Any]] | Problem:
    """Read rows: objects by column, or lines of text with ``|`` between the columns."""
    rows = given if isinstance(given, list | tuple) else str(given).strip().splitlines()
    most = question.most or ROWS_MAX
    if len(rows) > most:
        return Problem(question.field, Refusal.ROWS_ARE_TOO_MANY, {"rows": len(rows), "most": most})
    table: list[dict[str, Any]] = []
    for place, row in enumerate(rows, start=1):
        cells = row if isinstance(row, Mapping) else _cells(question, row)
        names = {one.field for one in question.columns}
        if cells is None or not set(cells) <= names:
            columns = " | ".join(one.field for one in question.columns)
            return _not_in_list(f"{question.field}[{place}]", [columns])
        read: dict[str, Any] = {}
        for column in question.columns:
            where, cell = f"{question.field}[{place}].{column.field}", cells.get(column.field)
            if cell in (None, "") or str(cell).strip() == "":
                if column.required:
                    return Problem(where, Refusal.FIELD_IS_MISSING)
                continue
            answer = _single(column, where, cell)
            if isinstance(answer, Problem):
                return answer
            read[column.field] = answer
        table.append(read)
    return table


def _cells(question: Field, row: object) -> dict[str, str] | None:
    cells = [one.strip() for one in str(row).split("|")]
    if len(cells) > len(question.columns):
        return None
    names = [one.field for one in question.columns]
    return dict(zip(names, cells, strict=False))


def _not_in_list(where: str, offered: list[str]) -> Problem:
    return Problem(where, Refusal.FIELD_IS_NOT_IN_LIST, {"offered": ", ".join(offered)})


def _is_date(text: str) -> bool:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is None:
        return False
    try:
        moment_s(text)
    except (InputError, OverflowError):
        return False
    return True


def partners_of(answers: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the partner institutions, which are written with commas between them."""
    named = str(answers.get("partners", "")).replace("\n", ",").split(",")
    return tuple(one.strip() for one in named if one.strip())


def whole(value: object, *, most: int = NUMBER_MAX) -> int | None:
    """Read a whole number from 0 up; thousands may be parted by commas. None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= most else None
    text = str(value or "").strip().replace(",", "")
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)):
        return None
    return int(text) if int(text) <= most else None
