"""A "no" as screens take it: what is wrong, by field, as codes that have sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from dure.core.programme import Problem, Refusal
from dure.services.programme_views import FieldProblem


@dataclass(frozen=True, slots=True)
class Refused:
    """What was asked for was not taken; ``problem.CODE`` is each problem's sentence."""

    problems: tuple[FieldProblem, ...]


def refused(answer: Refusal | Sequence[Problem], **numbers: int | str) -> Refused:
    """Return a refusal, or the problems of a form, as screens take them.

    Args:
        numbers: what the sentence of a refusal may need.
    """
    problems = [Problem("", answer, numbers)] if isinstance(answer, Refusal) else answer
    return Refused(
        tuple(FieldProblem(one.field, one.refusal.value, one.numbers) for one in problems)
    )
