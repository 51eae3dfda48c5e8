"""The agreement (협약) on an award, as a project reads and signs it."""

from dure.core.calendar import DAY_S
from dure.core.calls.model import Call
from dure.core.events.programme import ApplicationSubmitted, Decided
from dure.core.recall import RecallPolicy
from dure.reports.formats import Lang
from dure.reports.messages import text

ARTICLES = ("right", "term", "charge", "use", "recall", "loan", "data", "end")


def agreement_text(
    lang: Lang,
    call: Call,
    submitted: ApplicationSubmitted,
    decided: Decided,
    policy: RecallPolicy,
    *,
    starts_at_s: int,
    price_krw: int,
) -> str:
    """Write the agreement: a title and a line for each article.

    Nothing in it depends on when it is read, so its digest stands until the award changes.

    Args:
        policy: by which use is checked.
        starts_at_s: when the award begins at the earliest.
        price_krw: of a GPU-hour, won; 0: nothing is charged.
    """
    values: dict[str, object] = {
        "programme": call.name.ko if lang == "ko" else call.name.en,
        "call": call.call,
        "application": submitted.application,
        "project": submitted.project,
        "title": submitted.title_ko if lang == "ko" else submitted.title_en,
        "organisation": submitted.organisation,
        "accelerator": decided.accelerator,
        "gpus": decided.gpus,
        "months": submitted.months,
        "starts_at_s": starts_at_s,
        "price_krw": price_krw,
        "warn_percent": policy.warn_below_percent,
        "checks": policy.checks_before_recall,
        "notice_days": policy.notice_s // DAY_S,
        "grade": submitted.grade,
    }
    charge = "charge" if price_krw else "free"
    lines = [text(lang, "agreement.title", **values), text(lang, "agreement.parties", **values)]
    for number, article in enumerate(ARTICLES, start=1):
        key = charge if article == "charge" else article
        lines.append(f"{number}. {text(lang, f'agreement.{key}', **values)}")
    return "\n".join(lines) + "\n"
