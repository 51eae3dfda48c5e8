"""Who the user is to which service: addresses, and tokens kept in a file of one's own.

The file is ``$XDG_CONFIG_HOME/dure/tokens.json`` (``~/.config`` without it), readable by its
owner only. A token is sent to the service that gave it, and to no other.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dure.cli.output import stop
from dure.core.addresses import is_loopback

OWNER_ONLY, OWNER_ONLY_FOLDER = 0o600, 0o700


@dataclass(frozen=True, slots=True)
class Signed:
    """A token of one service; ``token_id`` ends it."""

    user: str
    token: str
    token_id: str
    expires_at_s: int


def checked_url(url: str) -> str:
    """Return a service's address in its one spelling.

    Raises:
        StopError: if it is no web address, or if passwords would cross a network in clear.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise stop("url", code=2, found=url[:80]) from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.username:
        raise stop("url", code=2, found=url[:80])
    if parts.scheme == "http" and not is_loopback(host):
        raise stop("url_in_clear", code=2, found=url[:80])
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def tokens_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "dure" / "tokens.json"


def signed_in(url: str) -> Signed | None:
    """Return what is kept for a service, None if nobody signed in to it here."""
    kept = _read().get(url)
    if kept is None:
        return None
    try:
        return Signed(
            str(kept["user"]), str(kept["token"]), str(kept["token_id"]), int(kept["expires_at_s"])
        )
    except (KeyError, TypeError, ValueError):
        raise stop("tokens_file", file=tokens_file()) from None


def token_for(url: str) -> str:
    """Return the token to send: DURE_TOKEN, or the one kept for this service; "" for none."""
    given = os.environ.get("DURE_TOKEN", "").strip()
    if given:
        return given
    signed = signed_in(url)
    return signed.token if signed is not None else ""


def keep(url: str, signed: Signed) -> None:
    """Remember a token; the file is replaced whole, and never readable by others."""
    _write(_read() | {url: asdict(signed)})


def forget(url: str) -> None:
    """Forget a service's token; forgetting none changes nothing."""
    kept = _read()
    if kept.pop(url, None) is not None:
        _write(kept)


def _read() -> dict[str, dict[str, str | int]]:
    try:
        kept = json.loads(tokens_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise stop("tokens_file", file=tokens_file()) from None
    if not isinstance(kept, dict):
        raise stop("tokens_file", file=tokens_file())
    return kept


def _write(kept: dict[str, dict[str, str | int]]) -> None:
    file = tokens_file()
    try:
        file.parent.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        # mkstemp makes it 0600 from the first moment.
        handle, beside = tempfile.mkstemp(dir=file.parent, prefix=".tokens-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(kept, out, indent=1)
            os.chmod(beside, OWNER_ONLY)
            os.replace(beside, file)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as wrong:
        raise stop("cannot_write", file=file, why=wrong.strerror or str(wrong)) from None
