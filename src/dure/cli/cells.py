"""How figures, moments and codes look in a table's cell."""

from collections.abc import Callable
from typing import Any

from dure.cli.output import Column, Row, lang, words

HOUR_S = 3600


def text_column(title: str, field: str = "") -> Column:
    """Return a column with a field's text as it is."""
    name = field or title
    return Column(title, lambda row: str(row[name]) if row[name] is not None else "")


def number_column(title: str, field: str = "") -> Column:
    """Return a column with a whole number in threes, "-" for one that is not known."""
    return Column(title, lambda row: number(row[field or title]), is_number=True)


def gpu_hours_column(title: str, field: str) -> Column:
    """Return a column of GPU hours, whole ones, of a field in GPU-seconds."""
    return Column(title, lambda row: gpu_hours(row[field]), is_number=True)


def moment_column(title: str, field: str) -> Column:
    """Return a column with day and time, "-" for "not yet"."""
    return Column(title, lambda row: moment(row[field]))


def code_column(title: str, family: str, field: str = "") -> Column:
    """Return a column with the words of a code: ``FAMILY.CODE`` in the catalogues."""
    return Column(title, lambda row: code(family, row[field or title]))


def made_column(title: str, make: Callable[[Row], str]) -> Column:
    """Return a column whose text is made of several fields."""
    return Column(title, make)


def number(value: int | None) -> str:
    from dure.reports import formats

    return "-" if value is None else formats.number(lang(), value)


def gpu_hours(gpu_s: int | None) -> str:
    return "-" if gpu_s is None else number(gpu_s // HOUR_S)


def moment(at_s: int | None) -> str:
    from dure.reports import formats

    return "-" if at_s is None else formats.moment(lang(), at_s)


def day(at_s: int | None) -> str:
    from dure.reports import formats

    return "-" if at_s is None else formats.day(lang(), at_s)


def code(family: str, value: str) -> str:
    return words(f"{family}.{value}", otherwise=value) if value else ""


def name_of(both: dict[str, Any]) -> str:
    """Choose a name in the user's language of one in both."""
    return str(both[lang()])
