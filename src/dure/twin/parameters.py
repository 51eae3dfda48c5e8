"""Reads a model's parameters from YAML; a bad one is refused by file, key, found and expected."""

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from dure.core.errors import InputError

MODELS = Path(__file__).parent / "models"


class Section:
    """A mapping of a parameter file that knows its own name, for the messages.

    Args:
        where: the file and the keys that lead here, as a person would name them.
        values: what stands there; refused if it is not a mapping.
    """

    def __init__(self, where: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise InputError(where, found=_shown(values), expected="a mapping of names to values")
        self.where = where
        self.values: dict[str, object] = {str(key): value for key, value in values.items()}

    def name(self, key: str) -> str:
        return f"{self.where}: {key}" if self.where.endswith("yaml") else f"{self.where}.{key}"

    def refuse(self, key: str, expected: str) -> InputError:
        """Return (not raise) the error for a value of this section."""
        found = _shown(self.values[key]) if key in self.values else "nothing"
        return InputError(self.name(key), found=found, expected=expected)

    def only(self, *keys: str) -> None:
        """Refuse a key that nobody reads: most often a slip of the pen."""
        for key in self.values:
            if key not in keys:
                raise InputError(
                    self.name(key), found=f"the key {key!r}", expected=f"one of {', '.join(keys)}"
                )

    def number(self, key: str, *, low: float = 0.0, high: float = math.inf) -> float:
        value = self.values.get(key)
        expected = f"a number from {low:g}" + (f" to {high:g}" if high < math.inf else "")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(key, expected)
        if not (math.isfinite(value) and low <= value <= high):
            raise self.refuse(key, expected)
        return float(value)

    def whole(self, key: str, *, low: int = 0, high: int = 2**53) -> int:
        value = self.number(key, low=low, high=high)
        if value != int(value):
            raise self.refuse(key, "a whole number")
        return int(value)

    def word(self, key: str, *allowed: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self.refuse(key, f"one of {', '.join(allowed)}" if allowed else "a word")
        return value

    def yes_or_no(self, key: str) -> bool:
        value = self.values.get(key)
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return value

    def section(self, key: str) -> "Section":
        return Section(self.name(key), self.values.get(key))

    def sections(self, key: str) -> list["Section"]:
        """Read a list of mappings."""
        return [
            Section(f"{self.name(key)}[{row}]", value) for row, value in enumerate(self._list(key))
        ]

    def numbers(self, key: str, *, low: float = 0.0, high: float = math.inf) -> list[float]:
        """Read a list of numbers, at least one."""
        values = self._list(key)
        if not values:
            raise self.refuse(key, "at least one number")
        row = Section(self.name(key), {str(place): value for place, value in enumerate(values)})
        return [row.number(str(place), low=low, high=high) for place in range(len(values))]

    def words(self, key: str) -> list[str]:
        """Read a list of words."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(key, "a list of words")
        return [str(value) for value in values]

    def _list(self, key: str) -> list[object]:
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.refuse(key, "a list")
        return value


def read_section(path: Path) -> Section:
    """Read a whole YAML file; its name starts every message about it."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            str(path), found=error.strerror or "no file", expected="a readable file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = str(error).replace("\n", " ")
        raise InputError(
            str(path), found=f"text that is no YAML ({line})", expected="YAML"
        ) from error
    return Section(path.name, values)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
