"""The words of every screen, letter and reason: one catalogue, Korean and English, by key.

Every ``*.ko.yaml`` and ``*.en.yaml`` of this folder is merged. A file is a tree; the path of a
sentence in it, joined by dots, is its key: ``problem.CallIsClosed``. A stable code leads to its
sentence without a table between.

A placeholder is ``{name}``. After a colon may stand a format of ``reports.formats``
(``{due_at_s:moment}``, ``{size:gpus}``), a pair of Korean particles (``{project:은/는}``), or both
(``{size:gpus 이/가}``). A bare integer is shown in threes; pass a year as text.
"""

import string
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from dure.core.errors import DureError, InputError
from dure.reports.formats import LANGS, SPECS, Lang, number, particle

Catalogue = Mapping[str, str]


class MessageError(DureError):
    """A screen asks for a sentence that is not there, or leaves a gap in one."""


def text(lang: Lang, key: str, **values: object) -> str:
    """Return the sentence ``key`` in ``lang`` with its gaps filled; values not needed are ignored.

    Raises:
        MessageError: for an unknown key, or a gap without a value.
    """
    sentence = catalogue(lang).get(key)
    if sentence is None:
        raise MessageError(
            f"no sentence {key!r} in {lang}; add it to src/dure/reports/messages/*.{lang}.yaml."
        )
    try:
        return _Sentence(lang).vformat(sentence, (), values)
    except KeyError as error:
        raise MessageError(
            f"the sentence {key!r} ({lang}) needs a value for {error}; got {sorted(values)}."
        ) from error


def has(key: str) -> bool:
    """Tell whether there is a sentence of this key."""
    return key in catalogue("ko")


@cache
def catalogue(lang: Lang) -> Catalogue:
    """Return all sentences of a language by key.

    Raises:
        InputError: if two files have the same key, or a leaf is not text.
    """
    assert lang in LANGS, f"there is no catalogue in {lang!r}, only in {LANGS}"
    sentences: dict[str, str] = {}
    folder = resources.files(__package__)
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(f".{lang}.yaml"):
            continue
        tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        for key, sentence in _leaves(file.name, "", tree):
            if key in sentences:
                raise InputError(file.name, found=f"{key} again", expected="each key once")
            sentences[key] = sentence
    return sentences


def placeholders(sentence: str) -> frozenset[str]:
    """Return the names of a sentence's gaps."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(sentence) if name)


def _leaves(file: str, path: str, tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, dict):
        for name, below in tree.items():
            yield from _leaves(file, f"{path}.{name}" if path else str(name), below)
    else:
        raise InputError(f"{file}: {path}", found=repr(tree), expected="a sentence (quote numbers)")


class _Sentence(string.Formatter):
    def __init__(self, lang: Lang) -> None:
        self.lang: Lang = lang

    def format_field(self, value: Any, format_spec: str) -> str:
        if "/" in format_spec:
            format_, _, pair = format_spec.rpartition(" ")
            shown = self.format_field(value, format_)
            return shown + particle(shown, pair)
        if format_spec:
            assert format_spec in SPECS, f"no format {format_spec!r}; there are {sorted(SPECS)}"
            return SPECS[format_spec](self.lang, value)
        if isinstance(value, int) and not isinstance(value, bool):
            return number(self.lang, value)
        return str(value)
