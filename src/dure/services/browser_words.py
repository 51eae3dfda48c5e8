"""What portal and API say to browsers alike: the cookie of a sign-in, a file to be saved."""

from urllib.parse import quote

SESSION_COOKIE = "dure_session"


def host_cookie(name: str, *, is_secure: bool) -> str:
    """Return the name under which a browser keeps a secret of ours.

    Over HTTPS browsers take a cookie of this prefix from this very host alone, for all its paths
    and Secure (RFC 6265bis, section 4.1.3); over plain http on this machine they would refuse it.
    """
    return f"__Host-{name}" if is_secure else name


def saved_as(name: str) -> dict[str, str]:
    """Return the header fields of a file that is saved under a name and never opened.

    Whatever it calls itself and whatever it contains, no browser runs it here.
    """
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
