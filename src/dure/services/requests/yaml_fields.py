"""YAML as fields that know where they stand: every complaint has its line.

Values stay the words of the file: nothing is turned into numbers, dates or minutes past midnight
before a field asks for it, and no tag makes an object.
"""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

import yaml

from dure.core.errors import InputError
from dure.services.requests.values import shown

BYTES_MAX = 1_048_576
NULL_TAG = "tag:yaml.org,2002:null"


class Field(NamedTuple):
    """A value in a YAML file, with its name and place."""

    file: str
    name: str
    node: yaml.Node

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.line}, {self.name or 'the whole file'}"

    @property
    def is_null(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == NULL_TAG

    @property
    def is_single(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode)

    def text(self) -> str:
        """Return a single value as it is written."""
        if isinstance(self.node, yaml.ScalarNode):
            return str(self.node.value)
        raise InputError(self.where, found=self._kind(), expected="a single value")

    def texts(self) -> tuple[str, ...]:
        """Return a list of single values; one value alone is a list of one."""
        if isinstance(self.node, yaml.SequenceNode):
            return tuple(Field(self.file, self.name, one).text() for one in self.node.value)
        return (self.text(),)

    def text_or_empty(self) -> str:
        """Return a single value; nothing written is the empty text."""
        return "" if self.is_null else self.text()

    def fields(
        self, known: Iterable[str] | None = None, *, with_empty: bool = False
    ) -> dict[str, "Field"]:
        """Return what stands below by name.

        Args:
            known: the names that may stand here; None for any.
            with_empty: also those whose value is left empty; otherwise it is as if not written.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise InputError(self.where, found=self._kind(), expected="names with values")
        below: dict[str, Field] = {}
        for key, value in self.node.value:
            name = Field(self.file, f"a name in {self.name or 'the file'}", key).text()
            field = Field(self.file, f"{self.name}.{name}" if self.name else name, value)
            here = f"{self.file}, line {key.start_mark.line + 1}"
            if name in below:
                raise InputError(here, found=f"{shown(name)} twice", expected="each name once")
            if known is not None and name not in known:
                raise _unknown(here, name, sorted(known))
            below[name] = field
        return {name: field for name, field in below.items() if with_empty or not field.is_null}

    def _kind(self) -> str:
        return "a list" if isinstance(self.node, yaml.SequenceNode) else (
            "names with values" if isinstance(self.node, yaml.MappingNode)
            else shown(str(self.node.value))
        )  # fmt: skip


JOB = "a job: at least 'run:' or a command"


def read_yaml(text: str, file: str, *, what: str = JOB) -> Field:
    """Read one YAML document; ``what`` it should be, for the message about an empty one.

    Raises:
        InputError: if it is none, is empty or is too large.
    """
    if len(text) > BYTES_MAX:
        raise InputError(
            file, found=f"{len(text)} characters", expected=f"at most {BYTES_MAX} of them"
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(file + line, found=str(wrong.problem), expected="YAML") from wrong
    except RecursionError as wrong:
        raise InputError(file, found="brackets within brackets", expected=what) from wrong
    except (yaml.YAMLError, ValueError) as wrong:
        raise InputError(file, found=str(wrong)[:120], expected="YAML") from wrong
    if node is None:
        raise InputError(file, found="nothing", expected=what)
    return Field(file, "", node)


def _unknown(here: str, name: str, known: list[str]) -> InputError:
    near = difflib.get_close_matches(name[:80], known, n=1)
    return InputError(
        here,
        found=f"{shown(name)}, which is no field",
        expected=f"one of {', '.join(known)}",
        next_step=f"Did you mean {near[0]}?" if near else "",
    )
