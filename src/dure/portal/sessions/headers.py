"""Which header fields pass between a browser and a session, in each direction.

The browser's secrets stay on this side, whatever it sends; what a session answers cannot speak for
more than its own origin, and not in the name of the door.
"""

from collections.abc import Iterable, Iterator, Sequence

Field = tuple[bytes, bytes]

# Names of ours, whatever a browser makes of their prefixes.
OUR_COOKIES = ("dure_", "__host-dure_", "__secure-dure_")
# They belong to one connection (RFC 9110, section 7.6.1), and each connection here has its own.
_OF_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect")
)
# Secrets, and words that a proxy in front says and nobody else may.
_NOT_IN = frozenset((b"authorization", b"cookie", b"forwarded", b"x-real-ip", b"via"))
_NOT_IN_BEGINNINGS = (b"proxy-", b"x-forwarded-")
# What would reach beyond the session's own pages: other origins of the same site, the proxy in
# front, the browser's memory of how to reach us. What we say ourselves is added anew.
_NOT_OUT = frozenset(
    (
        *(b"clear-site-data", b"strict-transport-security", b"alt-svc", b"nel", b"report-to"),
        *(b"reporting-endpoints", b"set-cookie2", b"x-sendfile", b"public-key-pins", b"server"),
        *(b"referrer-policy", b"x-frame-options", b"cross-origin-opener-policy"),
        *(b"cross-origin-resource-policy", b"origin-agent-cluster", b"refresh"),
    )
)
_NOT_OUT_BEGINNINGS = (b"access-control-", b"proxy-", b"x-accel-")
_ADDED_OUT: Sequence[Field] = (
    (b"Referrer-Policy", b"same-origin"),
    (b"X-Frame-Options", b"SAMEORIGIN"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Origin-Agent-Cluster", b"?1"),
)
_OF_WEBSOCKET = b"sec-websocket-"


def going_in(fields: Iterable[Field], *, is_websocket: bool) -> list[Field]:
    """Return what a session is sent of a browser's fields; names are in small letters."""
    fields = list(fields)
    named = _named_by_connection(fields)
    passed = [
        (name, value)
        for name, value in fields
        if name not in _OF_CONNECTION | _NOT_IN | named
        and not name.startswith(_NOT_IN_BEGINNINGS)
        and (is_websocket or not name.startswith(_OF_WEBSOCKET))
    ]
    if any(name == b"transfer-encoding" for name, _ in passed):
        # Where both are said, the chunks count, and nobody behind us shall think otherwise.
        passed = [(name, value) for name, value in passed if name != b"content-length"]
    if cookies := b"; ".join(_their_cookies(fields)):
        passed.append((b"cookie", cookies))
    if is_websocket:
        return [*passed, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    return [*passed, (b"connection", b"close")]


def going_out(fields: Iterable[Field]) -> list[Field]:
    """Return what a browser is sent of a session's fields."""
    fields = list(fields)
    named = _named_by_connection(fields)
    passed = []
    for name, value in fields:
        if name in _OF_CONNECTION | _NOT_OUT | named or name.startswith(_NOT_OUT_BEGINNINGS):
            continue
        if name == b"set-cookie":
            if (cookie := _host_only(value)) is not None:
                passed.append((name, cookie))
        else:
            passed.append((name, value))
    return [*passed, *_ADDED_OUT]


def switching(fields: Iterable[Field]) -> list[Field]:
    """Return what a browser is told when a session takes up a WebSocket."""
    told = [(name, value) for name, value in fields if name.startswith(_OF_WEBSOCKET)]
    return [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), *told]


def cookies_named(fields: Iterable[Field], name: str) -> list[str]:
    """Return the values of every cookie of this name: another origin may have added one."""
    wanted = name.encode() + b"="
    return [
        one[len(wanted) :].decode("latin-1") for one in _cookies(fields) if one.startswith(wanted)
    ]


def _named_by_connection(fields: Iterable[Field]) -> frozenset[bytes]:
    """Return the fields that the sender says belong to its connection, never the framing's."""
    words = [value for name, value in fields if name == b"connection"]
    named = {one.strip().lower() for value in words for one in value.split(b",")}
    return frozenset(named - {b"content-length", b"transfer-encoding", b"host"})


def _cookies(fields: Iterable[Field]) -> Iterator[bytes]:
    for name, value in fields:
        if name == b"cookie":
            yield from (one.strip() for one in value.split(b";"))


def _their_cookies(fields: Iterable[Field]) -> Iterator[bytes]:
    return (one for one in _cookies(fields) if one and not _is_ours(one))


def _is_ours(cookie: bytes) -> bool:
    name = cookie.partition(b"=")[0].strip().lower()
    return name.decode("latin-1").startswith(OUR_COOKIES)


def _host_only(cookie: bytes) -> bytes | None:
    """Return a cookie as its own host's alone; None if it has a name of ours, or none at all."""
    pair, *attributes = cookie.split(b";")
    # A cookie without "=" is a value without a name, which browsers send as if it were one.
    if b"=" not in pair or _is_ours(pair) or not pair.partition(b"=")[0].strip():
        return None
    kept = [one for one in attributes if one.partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join((pair, *kept))
