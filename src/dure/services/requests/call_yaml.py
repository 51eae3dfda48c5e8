"""Calls as YAML files: read with every mistake by line, written so that reading gives the same.

The file has the fields of ``core.calls.model``. Three kinds of names differ, so that people can
write them: moments (``opens_at_s``) are Korean civil time under ``opens``, thousandths of a point
(``line_milli``) are points under ``line``, and ``schema: dure-call-1`` says what the file is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml
from msgspec import inspect as types

from dure.core.calendar import civil, moment_s
from dure.core.calls.model import Call
from dure.core.calls.rules import check_call
from dure.core.errors import InputError
from dure.core.programme import Problem
from dure.services.requests.values import shown, whole, yes_no
from dure.services.requests.yaml_fields import Field, read_yaml

SCHEMA = "dure-call-1"
_MOMENT, _MILLI = "_at_s", "_milli"
_NUMBER_MAX = 10**15
# What a file must say out loud even where it is the usual.
_ALWAYS = ("stages", "kind", "version")


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in a file that hinders it: where, and what.

    Attributes:
        line: from 1; 0 where the file says nothing about it.
        field: as a path, ``stages[2].top``.
        problem: the rule that is broken, None where the value cannot be read at all.
        said: found and expected, of a value that cannot be read.
    """

    line: int
    field: str
    problem: Problem | None = None
    said: str = ""


def read_call(text: str, where: str) -> Call | tuple[Mistake, ...]:
    """Read a call and hold it against the rules that every call must keep.

    Args:
        where: the file as a person would name it.

    Returns:
        The call, or every mistake by line: first those that cannot be read; where all can, the
        rules that are broken.

    Raises:
        InputError: if it is no YAML at all.
    """
    reader = _Reader()
    top = read_yaml(text, where, what="a call: at least 'call', 'name' and its dates")
    call = reader.read_top(top)
    if reader.mistakes or call is None:
        return tuple(sorted(reader.mistakes, key=lambda one: (one.line, one.field)))
    found = [Mistake(reader.line_of(one.field), one.field, one) for one in check_call(call)]
    return tuple(found) or call


def write_call(call: Call) -> str:
    """Write a call so that reading it gives the same; what is usual is left out."""
    tree = {"schema": SCHEMA, **_tree(call)}
    text: str = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, width=100)
    return text


def _tree(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        told = {}
        for one in msgspec.structs.fields(value):
            held = getattr(value, one.name)
            usual = one.default if one.default is not msgspec.NODEFAULT else msgspec.NODEFAULT
            if one.default_factory is not msgspec.NODEFAULT:
                usual = one.default_factory()
            if held == usual and one.name not in _ALWAYS:
                continue
            told[_outside(one.name)] = _shown_value(one.name, held)
        return told
    if isinstance(value, dict):
        return {key: _tree(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_tree(one) for one in value]
    return value


def _shown_value(name: str, value: Any) -> Any:
    if name.endswith(_MOMENT):
        moment = civil(value)
        return moment.strftime("%Y-%m-%d %H:%M:%S" if moment.second else "%Y-%m-%d %H:%M")
    if name.endswith(_MILLI):
        return value // 1000 if value % 1000 == 0 else value / 1000
    return _tree(value)


def _outside(name: str) -> str:
    """Return a field's name in the file."""
    return name.removesuffix(_MOMENT).removesuffix(_MILLI)


class _Reader:
    """Reads fields as the structs of the model say, and notes every mistake with its line."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._lines: dict[str, int] = {}
        self._seen: set[int] = set()

    def read_top(self, top: Field) -> Call | None:
        kind = types.type_info(Call)
        assert isinstance(kind, types.StructType)
        try:
            below = top.fields(("schema", *(_outside(one.name) for one in kind.fields)))
            if "schema" in below and below["schema"].text() != SCHEMA:
                raise _unlike(below["schema"], SCHEMA)
        except InputError as wrong:
            self._note(top, wrong)
            return None
        call = self._struct(kind, top, below)
        return call if isinstance(call, Call) else None

    def line_of(self, path: str) -> int:
        """Return the line of a place, or of the nearest above it that the file has."""
        while path and path not in self._lines:
            shorter = re.sub(r"(\[\d+\]|\.[^.\[]*)$", "", path)
            path = shorter if shorter != path else ""
        return self._lines.get(path, 0)

    def _note(self, field: Field, wrong: InputError) -> None:
        found = re.search(r", line (\d+)", wrong.where)
        line = int(found[1]) if found else field.line
        tail = f" {wrong.next_step}" if wrong.next_step else ""
        said = f"found {wrong.found}; expected {wrong.expected}.{tail}"
        self.mistakes.append(Mistake(line, field.name, None, said))

    def _value(self, kind: types.Type, name: str, field: Field) -> Any:
        """Read one value; None, and a mistake noted, if it is none of its kind."""
        self._lines[field.name] = field.line
        try:
            if id(field.node) in self._seen:
                # One node for many places lets a small file unfold without end.
                raise InputError(
                    field.where, found="an alias (*)", expected="the values themselves"
                )
            self._seen.add(id(field.node))
            return self._read(kind, name, field)
        except InputError as wrong:
            self._note(field, wrong)
            return None

    def _read(self, kind: types.Type, name: str, field: Field) -> Any:
        match kind:
            case types.UnionType(types=choices):
                return self._read(
                    next(one for one in choices if not isinstance(one, types.NoneType)), name, field
                )
            case types.StructType():
                known = [_outside(one.name) for one in kind.fields]
                return self._struct(kind, field, field.fields(known))
            case types.DictType(value_type=below):
                return {key: self._value(below, name, one) for key, one in field.fields().items()}
            case types.VarTupleType(item_type=item):
                return tuple(self._value(item, name, one) for one in _items(field))
            case types.LiteralType(values=values):
                text = field.text()
                if text not in values:
                    raise _unlike(field, f"one of {', '.join(str(one) for one in values)}")
                return text
            case types.BoolType():
                return yes_no(field.text(), field.where)
            case types.IntType():
                return _whole(name, field)
            case _:
                assert isinstance(kind, types.StrType), kind
                return field.text()

    def _struct(self, kind: types.StructType, field: Field, below: Mapping[str, Field]) -> Any:
        values: dict[str, Any] = {}
        for one in kind.fields:
            outside = _outside(one.name)
            if outside in below:
                values[one.name] = self._value(one.type, one.name, below[outside])
            elif one.required:
                here = f"{field.name}.{outside}" if field.name else outside
                said = "found nothing; expected a value."
                self.mistakes.append(Mistake(field.line, here, None, said))
        if any(one.required and values.get(one.name) is None for one in kind.fields):
            return None
        return kind.cls(**values)


def _items(field: Field) -> list[Field]:
    if not isinstance(field.node, yaml.SequenceNode):
        raise _unlike(field, "a list")
    return [
        Field(field.file, f"{field.name}[{place}]", node)
        for place, node in enumerate(field.node.value)
    ]


def _whole(name: str, field: Field) -> int:
    text = field.text()
    if name.endswith(_MOMENT):
        try:
            return moment_s(text)
        except InputError:
            raise _unlike(field, "a moment such as 2026-01-28 18:00") from None
    if name.endswith(_MILLI):
        form = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?", text)
        if form is None:
            raise _unlike(field, "points, with at most three decimals")
        return 1000 * int(form[1]) + int((form[2] or "").ljust(3, "0"))
    plain = text.replace("_", "")
    if len(plain) > len(str(_NUMBER_MAX)) or not plain.isdigit():
        return whole(text, field.where)
    return int(plain)


def _unlike(field: Field, expected: str) -> InputError:
    found = shown(str(field.node.value)) if isinstance(field.node, yaml.ScalarNode) else "a list"
    if isinstance(field.node, yaml.MappingNode):
        found = "names with values"
    return InputError(field.where, found=found, expected=expected)
