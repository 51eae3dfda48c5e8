"""Mail to a real SMTP server: in clear, under TLS, with a password; refused and put off."""

import ssl
from pathlib import Path

import pytest

from dure.core.calendar import moment_s
from dure.core.errors import DriverError, InputError
from dure.core.mail import Mail, MailRefused, check_address
from dure.drivers.mail import SmtpPost, SmtpServer, read_server
from tests.drivers.mail_server import PASSWORD, USER, Inbox, certificate, mail_server

SENDER = "dure@example.kr"
MAIL = Mail(
    "<0123456789abcdef@example.kr>",
    "seo.yun@example.kr",
    "[두레] 신청 t-0001: 선정 결과 통보(두레-2026-00001)가 왔습니다. 기한 안에 답해 주십시오.",
    "서윤아 님께\n\n- 신청 t-0001을 접수했습니다.\n.\n끝\n",
    moment_s("2026-02-01 09:30"),
)


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("cert"))


def post_to(port: int, **more: str) -> SmtpPost:
    return SmtpPost(SmtpServer("127.0.0.1", port, **more), SENDER)


def test_a_mail_arrives_as_it_was_written() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        post_to(port).send(MAIL)

    (mail,) = inbox.mails
    assert (mail["From"], mail["To"], mail["Subject"]) == (SENDER, MAIL.to, MAIL.subject)
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == (MAIL.message_id, "auto-generated")
    assert mail["Date"].datetime.timestamp() == MAIL.at_s
    # A dot alone on a line ends a mail for a server; it must not end this one.
    assert mail.get_content() == MAIL.text
    assert inbox.envelopes == [(SENDER, [MAIL.to])]


# What the server of the test thinks of its own settings is no news.
@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_password_goes_under_tls_only(cert: Path, tls: str) -> None:
    inbox, context = Inbox(), ssl.create_default_context(cafile=cert)
    with mail_server(inbox, cert=cert, tls=tls) as port:
        right = SmtpServer("127.0.0.1", port, tls, USER, PASSWORD)
        SmtpPost(right, SENDER, context=context).send(MAIL)
        wrong = SmtpServer("127.0.0.1", port, tls, USER, "guessed")
        with pytest.raises(DriverError) as refused:
            SmtpPost(wrong, SENDER, context=context).send(MAIL)
        with pytest.raises(DriverError, match=r"(?i)certificate"):
            SmtpPost(right, SENDER).send(MAIL)

    assert (inbox.ids, inbox.was_tls) == ([MAIL.message_id], [True])
    assert "535" in str(refused.value) and "guessed" not in str(refused.value)
    assert PASSWORD not in repr(right)


def test_what_is_refused_for_good_and_what_for_now_are_told_apart() -> None:
    inbox = Inbox(answers={"gone@example.kr": "550 no such user", "full@example.kr": "452 later"})
    with mail_server(inbox) as port:
        post = post_to(port)
        with pytest.raises(MailRefused, match="550 no such user"):
            post.send(Mail("<1@x>", "gone@example.kr", "s", "t", 1))
        with pytest.raises(DriverError, match="452 later"):
            post.send(Mail("<2@x>", "full@example.kr", "s", "t", 1))
    with pytest.raises(DriverError, match=f"127.0.0.1:{port}"):
        post_to(port).send(MAIL)

    assert inbox.mails == []


def test_no_header_and_no_recipient_can_be_smuggled_in() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        post = post_to(port)
        post.send(Mail("<3@x>", MAIL.to, "제목\r\nBcc: other@example.kr", "t", 1))
        for to in ("a@example.kr, b@example.kr", "a@example.kr\r\nBcc: b@x.kr", "<a@example.kr>"):
            with pytest.raises(MailRefused):
                post.send(Mail("<4@x>", to, "s", "t", 1))

    assert inbox.envelopes == [(SENDER, [MAIL.to])]
    assert inbox.mails[0]["Bcc"] is None


def test_an_address_of_a_server_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")

    assert read_server("smtp://localhost", None) == SmtpServer("localhost", 25)
    assert read_server("smtps://mail.example.kr", None) == SmtpServer("mail.example.kr", 465, "tls")
    assert read_server("smtp+starttls://dure%40example.kr@mail.example.kr:2587", secret) == (
        SmtpServer("mail.example.kr", 2587, "starttls", USER, PASSWORD)
    )


@pytest.mark.parametrize(
    ("url", "has_file", "found"),
    [
        ("smtp+starttls://user:secret-word@mail.example.kr", False, "a password in it"),
        ("http://mail.example.kr", False, "http://mail.example.kr"),
        ("smtp://", False, "smtp://"),
        ("smtp://host:99999", False, "cannot be read"),
        ("smtps://user@mail.example.kr", False, "only one"),
        ("smtps://mail.example.kr", True, "only one"),
        ("smtp://user@mail.example.kr", True, "in clear"),
    ],
)
def test_an_unsafe_or_unreadable_server_is_refused(
    tmp_path: Path, url: str, has_file: bool, found: str
) -> None:
    secret = tmp_path / "password"
    secret.write_text("secret-word\n")

    with pytest.raises(InputError) as refused:
        read_server(url, secret if has_file else None)

    assert found in str(refused.value) and "secret-word" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two\nlines", b"x" * 2000, "비밀".encode()])
def test_a_password_is_one_line_of_ascii(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "password"
    secret.write_bytes(content)

    with pytest.raises(InputError):
        read_server("smtps://user@mail.example.kr", secret)
    with pytest.raises(InputError, match="No such file"):
        read_server("smtps://user@mail.example.kr", tmp_path / "none")


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@b", "a b@c.kr", "a@b\n", "a,b@c.kr", "a@b.kr>"]
)
def test_what_cannot_be_an_address_is_refused(address: str) -> None:
    with pytest.raises(InputError):
        check_address(address, "email")
