"""One's own notices, and letters."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import documented, missing
from dure.api.schemas import Words, out
from dure.core.events.notices import MailWish
from dure.reports.formats import Lang
from dure.reports.letters import letter_in
from dure.reports.messages import text
from dure.services.notice_desk import NoticeRow

AnyRequest = Request[Any, Any, Any]
READ_MAX = 1000


class NoticeOut(msgspec.Struct, frozen=True):
    """A notice with its sentence; ``application`` and ``letter`` are what it leads to, or ""."""

    notice: str
    at_s: int
    code: str
    text: Words
    numbers: dict[str, int | str]
    application: str
    letter: str
    is_read: bool


class ReadIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Notices to mark as read; ``all`` marks every one."""

    notices: list[str] = []
    all: bool = False


class ReadOut(msgspec.Struct, frozen=True):
    count: int


class MailBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How notices come by e-mail (``each`` as it comes, ``daily`` in one mail, ``none``), and where
    to; an ``email`` of null leaves the address as it is, "" takes it away.
    """

    mail: MailWish
    email: str | None = None


class LetterOut(msgspec.Struct, frozen=True):
    """A letter in one language."""

    number: str
    date: str
    sender: str
    receiver: str
    subject: str
    paragraphs: list[str]


class LettersOut(msgspec.Struct, frozen=True):
    """A letter in both languages; ``to`` is whom it was addressed to."""

    letter: str
    kind: str
    to: str
    application: str
    project: str
    at_s: int
    ko: LetterOut
    en: LetterOut


def notice_out(row: NoticeRow) -> NoticeOut:
    numbers = dict(row.numbers)
    words = Words(*(text(lang, f"notice.{row.code}", **numbers) for lang in ("ko", "en")))
    return out(NoticeOut, row, text=words, numbers=numbers)


@get("/notices", opt={"action": "notice.read"}, responses=documented(400, 401), sync_to_thread=True)
def notices(request: AnyRequest) -> Response[list[NoticeOut]]:
    """List what the caller was told, latest first; ``?unread=1`` leaves out what was read."""
    rows = services_of(request).notices.notices(actor_of(request))
    if request.query_params.get("unread") == "1":
        rows = [row for row in rows if not row.is_read]
    numbered = {row.notice: f"{place:06d}" for place, row in enumerate(rows)}
    return listing(request, rows, lambda row: numbered[row.notice], notice_out)


@post(
    "/notices/read",
    opt={"action": "notice.read"},
    status_code=200,
    responses=documented(400, 401),
    sync_to_thread=True,
)
def read(request: AnyRequest, data: JSONBody[ReadIn]) -> ReadOut:
    """Mark notices as read."""
    desk, actor = services_of(request).notices, actor_of(request)
    names = [one.notice for one in desk.notices(actor)] if data.all else data.notices[:READ_MAX]
    return ReadOut(desk.mark_read(names, by=actor))


@get("/me/mail", opt={"action": "notice.read"}, responses=documented(400, 401), sync_to_thread=True)
def mail(request: AnyRequest) -> MailBody:
    """Tell how notices come to the caller by e-mail."""
    return _mail(request)


@post(
    "/me/mail",
    opt={"action": "notice.read"},
    status_code=200,
    responses=documented(400, 401, 422),
    sync_to_thread=True,
)
def choose_mail(request: AnyRequest, data: JSONBody[MailBody]) -> MailBody:
    """Choose how notices come by e-mail, and where to."""
    services, actor = services_of(request), actor_of(request)
    if data.email is not None:
        services.people.change_email(actor.user, data.email, by=actor.user)
    services.notices.choose_mail(data.mail, by=actor)
    return _mail(request)


def _mail(request: AnyRequest) -> MailBody:
    services, actor = services_of(request), actor_of(request)
    account = services.people.account(actor.user)
    return MailBody(services.notices.mail_wish(actor), account.email if account else "")


@get(
    "/letters/{letter:str}",
    opt={"action": "letter.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def letter(request: AnyRequest, letter: FromPath[str]) -> LettersOut:
    """Give an official letter in both languages, by its document number."""
    found = services_of(request).notices.letter(letter, actor_of(request))
    if found is None:
        raise missing("letter")

    def told(lang: Lang) -> LetterOut:
        written = letter_in(lang, found)
        return out(LetterOut, written, paragraphs=list(written.paragraphs))

    return out(LettersOut, found, ko=told("ko"), en=told("en"))


ROUTES = (notices, read, mail, choose_mail, letter)
