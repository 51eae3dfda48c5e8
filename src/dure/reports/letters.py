"""Official letters from the events that issued them: number, date, subject, numbered paragraphs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dure.core.events.notices import LetterIssued
from dure.reports.formats import Lang, day
from dure.reports.messages import has, text


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in one language; ``paragraphs`` are numbered by whoever shows them."""

    number: str
    date: str
    sender: str
    receiver: str
    subject: str
    paragraphs: tuple[str, ...]


def letter_in(lang: Lang, issued: LetterIssued) -> Letter:
    """Write a letter; nothing is needed but the event itself."""
    fields = issued.fields
    values: dict[str, Any] = {
        **fields,
        "programme": fields[f"programme_{lang}"],
        "title": fields[f"title_{lang}"],
        "application": issued.application,
        "project": issued.project,
        "call": issued.call,
    }
    kind = f"letter.{issued.kind}"
    keys = [f"{kind}.intro", *_keys(issued.kind, fields), f"{kind}.close"]
    paragraphs = [text(lang, key, **values) for key in keys if has(key)]
    if "reason" in fields:
        paragraphs.insert(1, text(lang, "letter.reason", sentence=_reason(lang, fields)))
    return Letter(
        text(lang, "letter.number", letter=issued.letter),
        day(lang, issued.at_s),
        text(lang, "letter.sender"),
        text(lang, "letter.receiver", **values),
        text(lang, f"{kind}.subject", **values),
        tuple(paragraphs),
    )


def letter_text(lang: Lang, issued: LetterIssued) -> str:
    """Write a letter as plain text, a line each."""
    letter = letter_in(lang, issued)
    head = [letter.sender, letter.receiver, letter.subject]
    body = [f"{number}. {line}" for number, line in enumerate(letter.paragraphs, start=1)]
    foot = f"{letter.number}  {letter.date}"
    return "\n".join([*head, "", *body, "", foot]) + "\n"


def _keys(kind: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the sentences of a kind that hold only sometimes."""
    if kind != "award":
        return [f"letter.{kind}.facts"]
    came = "letter.award.handover" if fields["cause"] == "handover" else "letter.award.facts"
    return [came, "letter.award.due" if fields["due_at_s"] else "letter.award.no_due"]


def _reason(lang: Lang, fields: Mapping[str, Any]) -> str:
    sentence = text(lang, f"award_reason.{fields['reason']}", **fields["numbers"])
    if "stage" not in fields:
        return sentence
    own = fields.get(f"stage_{lang}") or text(lang, f"stage.{fields['stage_kind']}")
    return f"{sentence} ({own})"
