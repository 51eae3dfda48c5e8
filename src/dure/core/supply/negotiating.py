"""Failed calls and negotiation: when one provider may be talked to, and what may be agreed."""

import hashlib

import msgspec

from dure.core.calls.model import Call
from dure.core.events.supply import SupplyOffer
from dure.core.programme import Problem, Refusal
from dure.core.supply.measures import supply_of

GPUS_MAX = 10_000_000


def may_negotiate(call: Call, failures: int) -> bool:
    """Tell whether a call that failed so often lets one provider be negotiated with."""
    return failures > supply_of(call).repeats


def check_bidders(call: Call, bidders: int) -> Problem | None:
    """Tell why a call has not failed: it has bidders enough."""
    least = supply_of(call).bidders_min
    if bidders >= least:
        numbers: dict[str, int | str] = {"bidders": bidders, "bidders_min": least}
        return Problem("call", Refusal.BIDDERS_ARE_ENOUGH, numbers)
    return None


def check_offer(offer: SupplyOffer, call: Call, *, limit_krw: int) -> tuple[Problem, ...]:
    """Hold an offer against its call and the limit; every problem at once."""
    terms, problems = supply_of(call), []
    if offer.accelerator not in call.accelerators:
        offered = {"offered": ", ".join(call.accelerators)}
        problems.append(Problem("accelerator", Refusal.FIELD_IS_NOT_IN_LIST, offered))
    if not 0 < offer.gpus <= GPUS_MAX or offer.gpus % call.node_gpus:
        node: dict[str, int | str] = {"asked_gpus": offer.gpus, "node_gpus": call.node_gpus}
        problems.append(Problem("gpus", Refusal.SIZE_IS_NOT_WHOLE_NODES, node))
    if not 1 <= offer.months <= call.months_max:
        term: dict[str, int | str] = {"asked_months": offer.months, "months_max": call.months_max}
        problems.append(Problem("months", Refusal.TERM_IS_OVER_CAP, term))
    if not 0 < offer.price_krw <= limit_krw:
        price: dict[str, int | str] = {"price_krw": offer.price_krw, "limit_krw": limit_krw}
        problems.append(Problem("price_krw", Refusal.PRICE_IS_OVER_LIMIT, price))
    if not terms.public_percent_min <= offer.public_percent <= 100:
        share: dict[str, int | str] = {
            "public_percent": offer.public_percent,
            "public_percent_min": terms.public_percent_min,
        }
        problems.append(Problem("public_percent", Refusal.PUBLIC_SHARE_IS_TOO_SMALL, share))
    if offer.title != terms.title:
        problems.append(Problem("title", Refusal.TITLE_IS_FIXED))
    return tuple(problems)


def public_gpus(offer: SupplyOffer, node_gpus: int) -> int:
    """Return the GPUs for public use: the share agreed in whole nodes, rounded up."""
    gpus = -(-offer.gpus * offer.public_percent // 100)
    return min(-(-gpus // node_gpus) * node_gpus, offer.gpus)


def digest_of(negotiation: str, number: int, offer: SupplyOffer) -> str:
    """Return the SHA-256 by which an offer is signed; equal terms of another round differ."""
    content = msgspec.json.encode([negotiation, number, offer], order="deterministic")
    return hashlib.sha256(content).hexdigest()
