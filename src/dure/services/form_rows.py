"""A call's questions as screens ask them."""

from dure.core.calls.form import LONG_LENGTH_MAX, NUMBER_MAX, TEXT_LENGTH_MAX, questions_of
from dure.core.calls.model import Call, Column, Field, Words
from dure.services.programme_views import FormField
from dure.services.views import Name

# What the model calls a number, screens call a whole one: they have no other.
_KINDS = {"number": "whole"}


def form_of(call: Call) -> tuple[FormField, ...]:
    """Return all questions of a call in the order in which they are asked."""
    most = {"gpus": max(call.caps.values(), default=NUMBER_MAX), "months": call.months_max}
    return tuple(_field(one, most.get(one.field, 0)) for one in questions_of(call))


def _field(question: Field | Column, most: int) -> FormField:
    usual = {"number": NUMBER_MAX, "text": TEXT_LENGTH_MAX, "long": LONG_LENGTH_MAX}
    columns = question.columns if isinstance(question, Field) else ()
    asked_if = question.when if isinstance(question, Field) else None
    hint = question.help if isinstance(question, Field) else None
    least = question.least
    if question.kind == "number" and question.required:
        least = max(1, least)
    return FormField(
        question.field,
        _KINDS.get(question.kind, question.kind),
        question.required,
        tuple(one.value for one in question.options),
        least,
        question.most or most or usual.get(question.kind, 0),
        _name(question.name),
        _name(hint),
        question.unit,
        tuple(Name(one.name.ko, one.name.en) for one in question.options),
        tuple(_field(one, 0) for one in columns),
        "" if asked_if is None else asked_if.field,
        () if asked_if is None else asked_if.among,
    )


def _name(words: Words | None) -> Name | None:
    return None if words is None else Name(words.ko, words.en)
