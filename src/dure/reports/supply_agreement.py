"""The agreement with a provider as people sign it: one text in each language, from the terms."""

from collections.abc import Iterator

from dure.core.calls.model import Call
from dure.core.events.supply import SupplyAgreed
from dure.core.supply.measures import supply_of
from dure.core.supply.negotiating import public_gpus
from dure.reports.formats import Lang
from dure.reports.messages import text

PPM_OF_PERCENT = 10_000


def supply_agreement(lang: Lang, call: Call, agreed: SupplyAgreed) -> str:
    """Return the whole text of an agreement, a paragraph a line."""
    return "\n".join(_lines(lang, call, agreed)) + "\n"


def _lines(lang: Lang, call: Call, agreed: SupplyAgreed) -> Iterator[str]:
    def say(key: str, **values: object) -> str:
        return text(lang, f"supply_agreement.{key}", **values)

    offer, terms = agreed.offer, supply_of(call)
    yield say("heading", agreement=agreed.agreement)
    yield say("call", name=getattr(call.name, lang), call=call.call)
    way = "award" if agreed.application else "direct"
    yield say(f"way_{way}", organisation=agreed.organisation, application=agreed.application)
    yield say("object", accelerator=offer.accelerator, gpus=offer.gpus, months=offer.months,
              nodes=offer.gpus // call.node_gpus)  # fmt: skip
    yield say("price", price_krw=offer.price_krw)
    yield say(f"title_{offer.title}")
    yield say("use", public_percent=offer.public_percent,
              public_gpus=public_gpus(offer, call.node_gpus))  # fmt: skip
    yield say("acceptance", items=len(terms.inspection), tests=len(terms.tests))
    for part in terms.instalments:
        yield say(f"instalment_{part.after}", instalment=part.instalment, percent=part.percent,
                  year=str(part.year))  # fmt: skip
    for row in sorted(terms.credits, key=lambda one: -one.below_ppm):
        below = f"{row.below_ppm / PPM_OF_PERCENT:g}"
        yield say("credit", below=below, percent=row.percent)
    yield say("report", day=terms.report_day)
    yield say("signed", names=", ".join(agreed.names), at_s=agreed.at_s)
    yield say("digest", digest=agreed.digest)
