"""Notices and letters on the pages and through the API."""

from dure.services.access import Role
from tests.api.calling import calling
from tests.portal.visiting import visiting
from tests.scripts.offer_world import OfferWorld


def test_a_visitor_sees_how_many_are_new_and_marks_them_read() -> None:
    world = OfferWorld()
    services = world.services()
    with visiting(services, Role.APPLICANT) as visit:
        home, before = visit.get("/"), visit.get("/notices")
        marked = visit.post("/notices/read")
        after = visit.get("/notices")

    assert '<span class="krds-badge bg-light-information">4</span>' in home.text
    assert "읽지 않은 알림 4건" in before.text and "/letters/2026-00005" in before.text
    assert marked.status_code == 303
    assert "읽지 않은 알림 0건" in after.text and 'action="/notices/read"' not in after.text


def test_a_letter_is_a_page_of_its_own_in_both_languages() -> None:
    with visiting(OfferWorld().services(), Role.APPLICANT) as visit:
        korean = visit.get("/letters/2026-00005")
        english = visit.get("/letters/2026-00005", params={"lang": "en"})
        foreign, missing = visit.get("/letters/2026-00001"), visit.get("/letters/2026-99999")

    assert "두레-2026-00005" in korean.text and "선정 결과 통보" in korean.text
    assert "2026년 1월 31일" in korean.text and "끝." in korean.text
    assert "Dure-2026-00005" in english.text and "was selected" in english.text
    assert foreign.status_code == missing.status_code == 404


def test_a_member_is_not_led_to_an_application_that_is_its_applicants() -> None:
    world = OfferWorld()
    services = world.services()
    services.people.change_roles("kang.min", [Role.MEMBER], by="test", projects=["p-t-0001"])
    with visiting(services, Role.MEMBER) as visit:
        notices, letter = visit.get("/notices"), visit.get("/letters/2026-00005")
    with visiting(services, Role.APPLICANT) as visit:
        own = visit.get("/notices")

    link = 'href="/applications/t-0001"'
    assert "/letters/2026-00005" in notices.text and letter.status_code == 200
    assert link not in notices.text and link not in letter.text
    assert link in own.text


def test_where_mail_goes_and_how_often_is_chosen_on_the_page() -> None:
    services = OfferWorld().services()
    with visiting(services, Role.APPLICANT) as visit:
        wrong = visit.post("/notices/mail", {"email": "a b@example.kr", "mail": "daily"})
        right = visit.post("/notices/mail", {"email": "seo@example.kr", "mail": "daily"})
        shown = visit.get("/notices")

    assert wrong.status_code == 422 and 'role="alert"' in wrong.text
    assert right.status_code == 303
    assert 'value="seo@example.kr"' in shown.text and 'value="daily" selected' in shown.text
    account = services.people.account("seo.yun")
    assert account is not None and account.email == "seo@example.kr"


def test_a_program_reads_notices_and_letters_and_marks_them() -> None:
    services = OfferWorld().services()
    with calling(services, Role.APPLICANT) as caller:
        rows = caller.get("/notices").json()
        letter = caller.get(f"/letters/{rows[0]['letter']}").json()
        marked = caller.post("/notices/read", {"notices": [rows[0]["notice"], "no.such"]}).json()
        unread = caller.get("/notices?unread=1").json()
        paged = caller.get("/notices?limit=1")
        mail = caller.post("/me/mail", {"mail": "none", "email": "seo@example.kr"}).json()
        kept = caller.get("/me/mail").json()
        bad = caller.post("/me/mail", {"mail": "daily", "email": "nowhere"})

    assert [row["code"] for row in rows][:2] == ["letter_award", "letter_waitlist"]
    assert rows[0]["text"]["en"].startswith("Application t-0001: a letter of award")
    assert (letter["kind"], letter["to"], letter["ko"]["number"]) == (
        "award",
        "seo.yun",
        "두레-2026-00005",
    )
    assert marked == {"count": 1} and len(unread) == len(rows) - 1
    assert len(paged.json()) == 1 and "next" in paged.headers["link"]
    assert mail == kept == {"mail": "none", "email": "seo@example.kr"}
    assert bad.status_code == 422
