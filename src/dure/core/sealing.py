"""Seals on what a site's agent and the centre tell one another: HMAC-SHA256 with the site's key."""

import hashlib
import hmac
from typing import Final

from dure.core.errors import InputError

# Who speaks: a seal of one direction is worth nothing in the other.
BY_AGENT: Final = "agent"
BY_CENTRE: Final = "centre"
KEY_PREFIX: Final = "dure-site_"


def site_key(secret: bytes, site: str, serial: int) -> str:
    """Return a site's key as text, derived from the centre's secret.

    Args:
        serial: the how manyeth key of this site; another serial, another key.
    """
    words = f"dure site key\0{site}\0{serial}".encode()
    return KEY_PREFIX + hmac.new(secret, words, hashlib.sha256).hexdigest()


def key_bytes(text: str) -> bytes:
    """Return what seals are made with.

    Raises:
        InputError: if this is no key of a site; the text is not told, it may be another secret.
    """
    body = text.strip().removeprefix(KEY_PREFIX)
    if len(body) != 64 or not text.strip().startswith(KEY_PREFIX):
        raise InputError("key", found="something else", expected="what dure site enrol printed")
    try:
        return bytes.fromhex(body)
    except ValueError:
        raise InputError(
            "key", found="a damaged key", expected="what dure site enrol printed"
        ) from None


def key_id(key: bytes) -> str:
    """Return by what a key may be named without telling it: 16 hexadecimal digits."""
    return hashlib.sha256(b"dure site key id\0" + key).hexdigest()[:16]


def seal(key: bytes, *, by: str, site: str, body: bytes) -> str:
    """Return the seal of a message: 64 hexadecimal digits."""
    digest = hmac.new(key, f"dure seal 1\0{by}\0{site}\0".encode(), hashlib.sha256)
    digest.update(body)
    return digest.hexdigest()


def is_sealed(key: bytes, given: str, *, by: str, site: str, body: bytes) -> bool:
    """Tell whether a seal is right, in a time that tells nothing of how wrong it is."""
    expected = seal(key, by=by, site=site, body=body)
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
