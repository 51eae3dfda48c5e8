"""What a job asked for, as people say it."""

from dure.reports import formats
from dure.reports.formats import Lang
from dure.reports.messages import has, text

# What is asked for by a code, and the family of its words.
_FAMILIES = {"class": "kind", "grade": "choice.grade", "interactive": "session_kind"}


def asked(lang: Lang, key: str, value: str) -> str:
    """Return the value of ``key`` in words and with its unit; what has none stays as it is."""
    if key == "preemptible":
        return text(lang, "asked_value.yes" if value == "true" else "asked_value.no")
    if key in _FAMILIES:
        words = f"{_FAMILIES[key]}.{value}"
        return text(lang, words) if has(words) else value
    if key == "locality":
        return _locality(lang, value)
    if key.endswith("_s") and value.isdecimal():
        show = formats.moment if key.endswith("_at_s") else formats.duration
        return show(lang, int(value))
    return value


def _locality(lang: Lang, value: str) -> str:
    """Say ``preferred:leaf:600`` in words; what is written otherwise stays as it is."""
    kind, _, rest = value.partition(":")
    level, _, patience = rest.partition(":")
    if kind not in ("required", "preferred") or not has(f"level.{level}"):
        return value
    return text(
        lang,
        f"asked_value.locality_{kind}",
        level=text(lang, f"level.{level}"),
        patience_s=int(patience) if patience.isdecimal() else 0,
    )
