"""The questions of a call's form as a table."""

from collections.abc import Iterator

from dure.cli.cells import code, made_column, name_of, number, text_column
from dure.cli.output import Row, say, words

# What a table takes where its call says nothing.
ROWS_MAX = 50


def _label(field: Row) -> str:
    own = field["label"]
    label = name_of(own) if own else words(f"form.{field['name']}", otherwise="")
    return f"{label} ({field['unit']})" if field["unit"] else label


def _with_words(field: Row) -> Iterator[str]:
    """Yield each answer that may be chosen, as a file has it and in words."""
    for place, one in enumerate(field["choices"]):
        own = field["labels"]
        named = name_of(own[place]) if own else code(f"choice.{field['name']}", one)
        yield one if named == one else f"{one} ({named})"


def _values(field: Row) -> str:
    if field["kind"] == "date":
        return say("a_date")
    if field["kind"] == "file":
        return say("a_file")
    if field["kind"] == "table":
        return say("rows_of", most=field["most"] or ROWS_MAX, columns=" | ".join(field["columns"]))
    if field["choices"]:
        return ", ".join(_with_words(field))
    if field["kind"] == "whole":
        return f"{number(field['least'])} - {number(field['most'])}"
    return say("up_to_signs", most=field["most"])


QUESTIONS = (
    text_column("field", "name"),
    made_column("label", _label),
    made_column("needed", lambda row: say("required") if row["is_required"] else ""),
    made_column("values", _values),
)
