"""What templates call to write a sentence, a number, a moment, a name or a code."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from dure.reports import form_words, formats, job_words, messages
from dure.reports.formats import Lang
from dure.services.programme_views import FieldProblem
from dure.services.views import DEVICE_STATES, NEVER_S, Name, Why

# What a problem tells of answers: the one that was found, those that are admitted.
_OF_ANSWERS = {"found", "offered"}


@cache
def words_in(lang: Lang) -> dict[str, Callable[..., Any]]:
    """Return every word-writing function of a language, by the name that templates use."""
    own = (
        text, code, why_text, asked, when, name, gpu_hours, kind_words, why_codes,
        in_words, answers_known, problem_words,
    )  # fmt: skip
    written: dict[str, Callable[..., Any]] = {one.__name__: partial(one, lang) for one in own}
    written |= {spec: partial(show, lang) for spec, show in formats.SPECS.items()}
    return {**written, "t": written["text"], "has_text": messages.has}


def text(lang: Lang, key: str, /, **values: object) -> str:
    """Return a sentence of the catalogue."""
    return messages.text(lang, key, **values)


def code(lang: Lang, family: str, value: str, /, **values: object) -> str:
    """Return the words of a stable code, or the code itself where none are written yet."""
    key = f"{family}.{value}"
    return messages.text(lang, key, **values) if messages.has(key) else value


def in_words(lang: Lang, field: str, value: str) -> str:
    """Return an answer to a question of every form in words, as it stands if it is no code."""
    return form_words.words_of(lang, field, value)


def answers_known(lang: Lang, field: str) -> list[str]:
    """Return in words the answers to propose for a question that takes any text."""
    return list(form_words.choices_of(lang, field).values())


def problem_words(lang: Lang, problem: FieldProblem) -> str:
    """Return what is wrong with one thing, the answers it speaks of in words."""
    numbers = dict(problem.numbers)
    for name in _OF_ANSWERS & numbers.keys():
        one_by_one = str(numbers[name]).split(", ")
        numbers[name] = ", ".join(in_words(lang, problem.field, one) for one in one_by_one)
    return code(lang, "problem", problem.code, **numbers)


def why_text(lang: Lang, why: Why) -> str:
    """Return why a job waits, in few words if the sentence's numbers are not there."""
    try:
        return code(lang, "why", why.code, **why.numbers)
    except messages.MessageError:
        return code(lang, "whyshort", why.code)


def asked(lang: Lang, key: str, value: str) -> str:
    """Return what a job asked for as people say it."""
    return job_words.asked(lang, key, value)


def when(lang: Lang, at_s: int) -> str:
    """Return a moment, a dash for one that has not come."""
    return "–" if at_s == NEVER_S else formats.moment(lang, at_s)


def name(lang: Lang, value: Name) -> str:
    return value.ko if lang == "ko" else value.en


def gpu_hours(lang: Lang, gpu_s: int) -> str:
    return formats.compact(lang, gpu_s // 3600)


def kind_words(lang: Lang) -> dict[str, str]:
    """Return the name of each kind of use, for the map's script."""
    return {kind: text(lang, f"kind.{kind}") for kind in DEVICE_STATES}


def why_codes(lang: Lang) -> list[str]:
    """Return the codes of waiting that have words, for the help page."""
    found = messages.catalogue(lang)
    return sorted(key.removeprefix("whyshort.") for key in found if key.startswith("whyshort."))
