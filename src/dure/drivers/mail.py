"""E-mail through SMTP: one mail at a time, to a server that is spoken to in clear or under TLS."""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dure.core.calendar import civil
from dure.core.errors import DriverError, InputError
from dure.core.mail import ADDRESS, Mail, MailRefused

TIMEOUT_S = 20.0
PASSWORD_BYTES_MAX = 1000
SCHEMES = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes.

    Attributes:
        tls: ``""`` in clear, ``starttls``, or ``tls`` from the first byte.
        user: "" for a server that asks for none.
        password: shown nowhere.
    """

    host: str
    port: int
    tls: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


def read_server(url: str, password_file: Path | None) -> SmtpServer:
    """Read ``smtp+starttls://user@mail.example.kr:587`` and the file with the password.

    Raises:
        InputError: what is wrong with either; a password in the address is refused unread.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong_url("an address that cannot be read") from None
    if parts.password is not None:
        # It would be seen in lists of processes and in the shell's history.
        raise InputError(
            "--smtp", found="a password in it", expected="--smtp-password-file FILE instead"
        )
    if parts.scheme not in SCHEMES or not parts.hostname or parts.path not in ("", "/"):
        raise _wrong_url(repr(url[:80]))
    tls = {"smtps": "tls", "smtp+starttls": "starttls"}.get(parts.scheme, "")
    user = unquote(parts.username or "")
    password = _password(password_file) if password_file is not None else ""
    if bool(user) != bool(password):
        raise InputError(
            "--smtp", found="only one of a user and a password", expected="both, or neither"
        )
    if user and not tls and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise InputError(
            "--smtp", found="a password that would go in clear",
            expected="smtps:// or smtp+starttls://",
        )  # fmt: skip
    return SmtpServer(parts.hostname, port or SCHEMES[parts.scheme], tls, user, password)


class SmtpPost:
    """Answers ``ports.Post``.

    Args:
        server: where mail goes.
        sender: the address in From, and of the envelope.
        context: for TLS; the system's authorities by default.
    """

    def __init__(
        self, server: SmtpServer, sender: str, *, context: ssl.SSLContext | None = None
    ) -> None:
        self._server, self._sender = server, sender
        self._context = context or ssl.create_default_context()

    def send(self, mail: Mail) -> None:
        """Hand a mail over; it is the server's when this returns."""
        if ADDRESS.fullmatch(mail.to) is None:
            raise MailRefused("the account's address cannot be one")
        message = _message(mail, self._sender)
        try:
            with self._connected() as smtp:
                smtp.send_message(message, self._sender, [mail.to])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as answered:
            code, said = _answer(answered)
            if 500 <= code < 600 and not isinstance(answered, smtplib.SMTPAuthenticationError):
                raise MailRefused(f"{code} {said}") from None
            raise DriverError(f"the mail server answered {code} {said}") from None
        except (smtplib.SMTPException, OSError) as wrong:
            raise DriverError(
                f"mail server {self._server.host}:{self._server.port}: {wrong}"
            ) from None

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.tls == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_S, context=self._context
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        try:
            if server.tls == "starttls":
                smtp.starttls(context=self._context)
            if server.user:
                smtp.login(server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _message(mail: Mail, sender: str) -> MIMEText:
    # The older classes: EmailMessage loses spaces where a long Korean subject is folded.
    message = MIMEText(mail.text, "plain", "utf-8")
    message["From"], message["To"] = sender, mail.to
    # A name or title with a line break must not become a header of its own.
    subject: Any = Header(" ".join(mail.subject.split()), "utf-8")
    message["Subject"] = subject
    message["Date"] = format_datetime(civil(mail.at_s))
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    return message


def _answer(answered: smtplib.SMTPException) -> tuple[int, str]:
    code, said = 0, b""
    if isinstance(answered, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(answered.recipients.values()))
    elif isinstance(answered, smtplib.SMTPResponseException):
        code, said = answered.smtp_code, _bytes(answered.smtp_error)
    return code, " ".join(said.decode(errors="replace").split())[:200]


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


def _password(file: Path) -> str:
    try:
        content = file.read_bytes()[: PASSWORD_BYTES_MAX + 1]
    except OSError as wrong:
        raise InputError(
            "--smtp-password-file", found=wrong.strerror or "no file", expected="a readable file"
        ) from None
    try:
        password = content.decode().strip("\r\n")
    except UnicodeDecodeError:
        password = ""
    fits = 0 < len(content) <= PASSWORD_BYTES_MAX
    # AUTH as servers know it takes ASCII; other signs would fail at the first mail only.
    if not fits or not password.isprintable() or not password.isascii():
        raise InputError("--smtp-password-file", found="no password", expected="one line of ASCII")
    return password


def _wrong_url(found: str) -> InputError:
    return InputError(
        "--smtp", found=found,
        expected="smtp://, smtp+starttls:// or smtps://, like smtp+starttls://user@mail.example.kr",
    )  # fmt: skip
