"""A name as calls carry it."""

import msgspec


class Words(msgspec.Struct, frozen=True):
    """A name in both languages."""

    ko: str
    en: str
