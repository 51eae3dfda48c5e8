"""A call as its event carries it, of whichever version that wrote the event."""

from dure.core.calls.model import Call, Words, usual_stages
from dure.core.events.programme import CallPublished


def call_of(event: CallPublished) -> Call:
    """Return what a call says; one published before calls had terms gets the usual stages."""
    if event.terms is not None:
        return event.terms
    return Call(
        call=event.call,
        name=Words(event.name_ko, event.name_en),
        kind=event.kind,
        round=event.round,
        opens_at_s=event.opens_at_s,
        closes_at_s=event.closes_at_s,
        starts_at_s=event.starts_at_s,
        capacity=event.capacity,
        caps=event.caps,
        organisation_caps=event.organisation_caps,
        months_max=event.months_max,
        large_from=event.large_from,
        rubric=event.rubric,
        tracks=event.tracks,
        shares=event.shares,
        score_min_milli=event.score_min_milli,
        large_score_min_milli=event.large_score_min_milli,
        stages=usual_stages(event.reviews_each),
        node_gpus=event.node_gpus,
        synthetic=event.synthetic,
    )
