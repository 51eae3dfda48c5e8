"""A mail on its way out, and what an address can be."""

import re
from dataclasses import dataclass

from dure.core.errors import DureError, InputError

# One person's address and nothing else: no list, no name beside it, no line break.
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@{_DOMAIN}")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person, plain text; equal contents have equal ``message_id``."""

    message_id: str
    to: str
    subject: str
    text: str
    at_s: int


class MailRefused(DureError):
    """A mail server will never take this mail; the text is its answer."""


def check_address(address: str, where: str) -> str:
    """Return an e-mail address that can be one. Raises InputError."""
    if ADDRESS.fullmatch(address) is None:
        raise InputError(where, found=repr(address[:80]), expected="like dure@example.kr")
    return address
