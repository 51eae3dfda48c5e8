"""Answers of an application form between the codes that rules go by and the words of people."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from dure.reports.formats import LANGS, Lang
from dure.reports.messages import catalogue


@cache
def choices_of(lang: Lang, field: str) -> Mapping[str, str]:
    """Return the answers to a question of every form that have words, by their codes."""
    family = f"choice.{field}."
    found = catalogue(lang).items()
    return MappingProxyType(
        {key.removeprefix(family): words for key, words in found if key.startswith(family)}
    )


def words_of(lang: Lang, field: str, answer: str) -> str:
    """Return an answer in words: as it stands where it is no code, or nobody named it."""
    return choices_of(lang, field).get(answer, answer)


def code_of(field: str, written: str) -> str:
    """Return the code of an answer that was written in words of either language."""
    for lang in LANGS:
        for code, words in choices_of(lang, field).items():
            if words.casefold() == written.casefold():
                return code
    return written
