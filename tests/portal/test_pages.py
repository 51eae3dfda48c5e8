"""Pages: what they say, in both languages; forms that lose nothing."""

import re

import pytest

from dure.core.calendar import DAY_S
from dure.portal.visitor import preferred
from dure.services.access import Actor, Role
from dure.services.attachments import name_of
from dure.services.desks import Applied, Refused, Services
from tests.portal.filled import FixedClock
from tests.portal.filled_programme import (
    EXAMPLE_CALLS,
    PASSWORD,
    filled_services,
    real_services,
)
from tests.portal.visiting import Visit, hidden_fields, visiting

PUBLIC = ["/", "/?pool=here", "/map", "/map?pool=here", "/map?cluster=nhn-b200-a&from=100",
          "/loans", "/calls", "/calls/2026-1", "/calls/2026-2", "/waitlist", "/help",
          "/login"]  # fmt: skip
SIGNED_IN = {
    Role.MEMBER: ["/jobs", "/jobs?state=running", "/jobs/j200007", "/jobs/h1?pool=here",
                  "/jobs/submit", "/sessions", "/projects", "/projects/p-2026-1-0003",
                  "/loans", "/me",
                  "/projects/p-2026-1-0003/data", "/projects/p-2026-1-0003/data?path=sets"],
    Role.APPLICANT: ["/calls/2026-2/apply", "/applications/2026-1-0003", "/me", "/waitlist",
                     "/applications"],
    Role.OPERATOR: ["/operator", "/calls/2026-2/board", "/applications",
                    "/projects?group=industry", "/jobs?state=waiting&from=50",
                    "/loans", "/waitlist?from=50"],
    Role.PROVIDER: ["/jobs", "/loans", "/me"],
    Role.AUDITOR: ["/operator", "/jobs/j200007", "/projects/p-2026-1-0001"],
}  # fmt: skip
CASES = [(None, path) for path in PUBLIC] + [
    (role, path) for role, paths in SIGNED_IN.items() for path in paths
]
APPLICANT = Actor("seo.yun", frozenset({Role.APPLICANT}))
# A key of the catalogue or a gap that was not filled shows through like this.
UNFILLED = re.compile(r"\{[a-z_]+(:[a-z_/]+)?\}|\b[a-z_]+\.[a-z_]+_[a-z_]+\b(?=<)")


@pytest.fixture(scope="module")
def services() -> Services:
    return filled_services()


def reads_well(html: str) -> None:
    assert UNFILLED.findall(html) == []
    assert "<script>" not in html and "style=" not in html and " onclick=" not in html
    assert html.count("<h1") == 1 and 'id="main"' in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)), "two things of one id"
    for target in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', html):
        assert set(target.split()) <= set(ids), target


@pytest.mark.parametrize(("role", "path"), CASES)
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_each_page_is_whole_in_both_languages(
    services: Services, role: Role | None, path: str, lang: str
) -> None:
    with visiting(services, role) as visit:
        answer = visit.get(path, headers={"accept-language": lang})

    assert answer.status_code == 200
    assert f'<html lang="{lang}"' in answer.text
    reads_well(answer.text)
    if lang == "en":
        # Names of people and Korean titles stay; the page's own words do not.
        words = re.sub(r'<a[^>]*lang="ko">한국어</a>', "", answer.text)
        words = re.sub(r"[가-힣]+ \(시범\)", "", words)
        korean = re.findall(r"<(?:h1|h2|th|dt|label|button|caption)[^>]*>[^<]*[가-힣]", words)
        allowed = ("/applications", "/me", "/waitlist")
        assert korean == [] or path.startswith(allowed), korean


def test_the_first_page_says_what_the_nation_owns(services: Services) -> None:
    with visiting(services) as visit:
        html = visit.get("/").text

    assert "13,136" in html and "10,456" in html and "모의 자료" in html


def test_the_real_pool_is_not_marked_as_synthetic(services: Services) -> None:
    with visiting(services) as visit:
        assert "demo-bar" not in visit.get("/?pool=here").text
        assert "demo-bar" in visit.get("/?pool=founding").text


def test_the_language_follows_the_link_then_the_cookie_then_the_browser(
    services: Services,
) -> None:
    with visiting(services) as visit:
        assert '<html lang="en"' in visit.get("/help", headers={"accept-language": "en"}).text
        assert '<html lang="ko"' in visit.get("/help?lang=ko").text
        assert '<html lang="ko"' in visit.get("/help", headers={"accept-language": "en"}).text


@pytest.mark.parametrize(
    ("header", "lang"),
    [
        ("", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("ja,ko;q=0.5,en;q=0.4", "ko"),
        ("en;q=0,fr", "ko"),
        ("en;q=x,,;q=", "ko"),
        ("EN-gb", "en"),
    ],
)
def test_the_browsers_wish_is_read_by_its_weights(header: str, lang: str) -> None:
    assert preferred(header) == lang


def test_a_teams_name_on_the_waitlist_is_for_itself_and_the_office(services: Services) -> None:
    counts = {}
    for role in (None, Role.APPLICANT, Role.OPERATOR):
        with visiting(services, role) as visit:
            counts[role] = visit.get("/waitlist").text.count('href="/applications/')

    assert counts == {None: 0, Role.APPLICANT: 1, Role.OPERATOR: 50}


def test_a_member_sees_the_jobs_of_their_project_only(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        projects = set(re.findall(r'href="/projects/([^"]+)"', visit.get("/jobs").text))

    assert projects == {"p-2026-1-0003"}


def test_why_a_job_waits_is_a_sentence_a_date_and_what_would_help(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        html = visit.get("/jobs/j200007").text

    assert "WaitingForPreemptedWorkloads" in html
    assert "빌린 작업이 저장하고 비우면" in html and "되도록 한 리프 안에서" in html
    assert "가장 이른 시작" in html and "2026년 6월 8일" in html and "preemptible" in html


def application(visit: Visit, **changes: str) -> dict[str, str]:
    fields = hidden_fields(visit.get("/calls/2026-2/apply").text)
    answers = {
        "title_ko": "바다 예측 모델",
        "organisation": "가온대학교",
        "group": "academia",
        "accelerator": "B200",
        "gpus": "16",
        "months": "6",
        "work_kind": "pretraining",
    }
    return {**fields, **answers, **changes}


def test_an_application_is_taken_once_however_often_it_is_sent() -> None:
    services = filled_services()
    with visiting(services, Role.APPLICANT) as visit:
        form = application(visit)
        first, again = (visit.post("/calls/2026-2/apply", form) for _ in range(2))

        assert first.status_code == 303
        assert first.headers["location"] == again.headers["location"]
        page = visit.get(first.headers["location"])
        assert "신청서를 받았습니다" in page.text
    assert len(services.programme.applications()) == 3


def test_a_wrong_application_comes_back_whole_with_each_error_beside_its_field(
    services: Services,
) -> None:
    with visiting(services, Role.APPLICANT) as visit:
        form = application(visit, gpus="12", months="")
        form["title_en"] = '<b>"Sea"</b>'
        answer = visit.post("/calls/2026-2/apply", form)

    assert answer.status_code == 422
    reads_well(answer.text)
    assert 'value="바다 예측 모델"' in answer.text and 'value="12"' in answer.text
    assert "&lt;b&gt;&#34;Sea&#34;&lt;/b&gt;" in answer.text
    for field in ("gpus", "months"):
        assert f'id="f-{field}-error"' in answer.text
        assert f'href="#f-{field}"' in answer.text
    assert answer.text.count('aria-invalid="true"') == 2
    assert hidden_fields(answer.text)["key"] == form["key"]


def test_what_was_written_survives_a_session_that_ended_meanwhile() -> None:
    services = filled_services()
    with visiting(services, Role.APPLICANT) as visit:
        form = application(visit)
        services.people.sign_out(visit.token)
        asked = visit.post("/calls/2026-2/apply", form, headers={"origin": "http://portal.test"})
        assert asked.status_code == 401
        fields = hidden_fields(visit.get("/login").text) | hidden_fields(asked.text)
        fields["csrf"] = hidden_fields(visit.get("/login").text).get("csrf", fields["csrf"])
        fields |= {"user": "seo.yun", "password": PASSWORD}
        signed_in = visit.client.post(
            "/login", data=fields, headers={"origin": "http://portal.test"}, follow_redirects=False
        )
        assert signed_in.status_code == 200
        kept = hidden_fields(signed_in.text)
        sent = visit.client.post("/calls/2026-2/apply", data=kept, follow_redirects=False)

    assert kept["title_ko"] == "바다 예측 모델"
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/applications/")


def test_a_form_from_another_site_is_not_carried_through_the_sign_in(services: Services) -> None:
    with visiting(services) as visit:
        answer = visit.client.post(
            "/jobs/submit",
            data={"text": "planted"},
            headers={"origin": "http://evil.test"},
            follow_redirects=False,
        )

    assert answer.status_code == 401
    assert "planted" not in answer.text


def test_a_job_is_submitted_and_cancelled_without_a_script() -> None:
    services = filled_services()
    with visiting(services, Role.MEMBER) as visit:
        fields = hidden_fields(visit.get("/jobs/submit").text)
        form = {**fields, "pool": "here", "form": "yaml", "text": "run: true", "project": ""}
        taken = visit.post("/jobs/submit", form)
        assert taken.headers["location"] == "/jobs/h1?pool=here&answer=submitted"
        page = visit.get(taken.headers["location"]).text
        assert "작업을 받았습니다" in page and "hello from here-1" in page
        cancelled = visit.post("/jobs/h1/cancel?pool=here")

    assert cancelled.headers["location"] == "/jobs/h1?pool=here&answer=stopping"
    assert services.pools["here"].cancelled == ["h1"]  # type: ignore[attr-defined]


def test_a_job_that_cannot_be_taken_comes_back_with_its_text(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        fields = hidden_fields(visit.get("/jobs/submit").text)
        text = "resources:\n  accelerators: GPU:99\n"
        form = {**fields, "pool": "here", "form": "yaml", "text": text, "project": ""}
        answer = visit.post("/jobs/submit", form)
        elsewhere = visit.post("/jobs/submit", {**form, "pool": "founding"})
        foreign = visit.post("/jobs/submit", {**form, "project": "p-2026-1-0001"})

    assert answer.status_code == elsewhere.status_code == 422
    assert "accelerators: GPU:99" in answer.text
    assert foreign.status_code == 403


def test_a_token_is_shown_once_and_can_be_revoked() -> None:
    services = filled_services()
    with visiting(services, Role.MEMBER) as visit:
        shown = visit.post("/me/tokens", {"label": "ci", "days": "30"}).text
        token = re.search(r"dure_[0-9a-f]{64}", shown)
        assert token is not None
        assert token.group() not in visit.get("/me").text
        assert services.people.actor_of_token(token.group()).user == "kang.min"
        (known,) = services.people.tokens_of("kang.min")
        visit.post("/me/tokens/revoke", {"token": known.token})

    assert services.people.tokens_of("kang.min") == []


def test_a_token_of_somebody_else_is_not_revoked() -> None:
    services = filled_services()
    _, foreign = services.people.issue_token("ha.eun", label="x", days=1, by="ha.eun")
    with visiting(services, Role.MEMBER) as visit:
        visit.post("/me/tokens/revoke", {"token": foreign.token})

    assert services.people.tokens_of("ha.eun") != []


def test_a_password_is_changed_by_whoever_knows_the_old_one() -> None:
    services = filled_services()
    with visiting(services, Role.MEMBER) as visit:
        form = {"old": "wrong", "new": "another-password", "again": "another-password"}
        assert visit.post("/me/password", form).status_code == 422
        form["old"] = PASSWORD
        assert visit.post("/me/password", form).status_code == 303
        assert visit.get("/me").status_code == 303

    assert services.people.knows("kang.min", "another-password")


def test_a_closed_call_takes_no_application() -> None:
    services = filled_services()
    services.programme.clock.at_s += 100 * DAY_S  # type: ignore[attr-defined]
    with visiting(services, Role.APPLICANT) as visit:
        html = visit.get("/calls/2026-2/apply").text

    assert "접수 기간이 아니어서" in html and "disabled" in html


@pytest.mark.parametrize(
    "path",
    ["/jobs?from=999999999999", "/jobs?from=-1", "/jobs?state=<x>", "/map?cluster=nope",
     "/projects?group=nope", "/?lang=fr", "/?theme=<b>", "/waitlist?from=x"],
)  # fmt: skip
def test_odd_wishes_get_a_plain_page(services: Services, path: str) -> None:
    with visiting(services, Role.OPERATOR) as visit:
        answer = visit.get(path)

    assert answer.status_code == 200
    assert "<x>" not in answer.text and "<b>" not in answer.text


@pytest.mark.parametrize("path", ["/?pool=nope", "/calls/nope", "/static/../site.py", "/static/x"])
def test_what_is_not_there_is_a_plain_404(services: Services, path: str) -> None:
    with visiting(services) as visit:
        answer = visit.get(path)

    assert answer.status_code == 404
    assert "찾을 수 없습니다" in answer.text


def test_a_draft_is_kept_found_again_and_thrown_away() -> None:
    services = filled_services()
    with visiting(services, Role.APPLICANT) as visit:
        kept = visit.post(
            "/calls/2026-2/apply", {"title_ko": "수어 <생성>", "gpus": "many", "save": "1"}
        )
        again = visit.get(kept.headers["location"])
        mine = visit.get("/applications")
        wrong = visit.post("/calls/2026-2/apply", {"title_ko": "x", "draft": "d-00001"})
        gone = visit.post("/drafts/d-00001/discard")
        after = visit.get("/applications")
    with visiting(services, Role.OPERATOR) as visit:
        foreign = visit.get("/calls/2026-2/apply?draft=d-00001")

    assert kept.status_code == 303
    assert "수어 &lt;생성&gt;" in again.text and 'value="many"' in again.text
    assert "d-00001" in mine.text
    # Refused, and kept all the same, as the next version of the draft.
    assert wrong.status_code == 422 and 'value="d-00001"' in wrong.text
    assert gone.status_code == 303 and "d-00001" not in after.text
    assert foreign.status_code == 404


def test_files_come_with_the_form_and_stay_when_it_is_wrong() -> None:
    services = real_services(FixedClock())
    office = Actor("ha.eun", frozenset({Role.OPERATOR}))
    services.office.draft_call((EXAMPLE_CALLS / "2026-2.yaml").read_text(), by=office)
    services.office.publish_call("2026-2", by=office)
    plan = ("plan.pdf", b"%PDF-1.7", "application/pdf")
    other = ("plan 2.pdf", b"%PDF-2.0", "application/pdf")
    good = {"title_ko": "기상 예측", "organisation": "라온대학교", "group": "academia",
            "accelerator": "B200", "gpus": "64", "months": "6", "serves": "public"}  # fmt: skip
    with visiting(services, Role.APPLICANT) as visit:
        program = ("plan.pdf", b"MZ\x90\x00", "application/pdf")
        refused = visit.post("/calls/2026-2/apply", good, files={"plan": program})
        wrong = visit.post("/calls/2026-2/apply", {**good, "gpus": "12"}, files={"plan": plan})
        draft = dict(hidden_fields(wrong.text))["draft"]
        page = visit.get(f"/calls/2026-2/apply?draft={draft}")
        kept = dict(hidden_fields(page.text))["plan"]
        sent = {**good, "draft": draft, "plan": kept}
        taken = visit.post("/calls/2026-2/apply", sent, files={"plan": other})

    assert refused.status_code == 422 and "hwpx" in refused.text
    assert wrong.status_code == 422
    assert kept == name_of(plan[1])
    assert taken.status_code == 303, taken.text
    (applied,) = services.programme.applications()
    assert taken.headers["location"] == f"/applications/{applied.application}?said=sent"
    files = services.papers.attachments(applied.application, by=office)
    assert [one.name for one in files] == ["plan.pdf", "plan 2.pdf"]


def test_the_board_shows_each_application_in_its_stages() -> None:
    services = filled_services()
    taken = services.papers.save("2026-2", {}, draft="", by=APPLICANT)
    assert not isinstance(taken, Refused)
    plan = b"%PDF-1.7"
    answers = {
        "title_ko": "기상 예측", "organisation": "라온대학교", "group": "academia",
        "accelerator": "B200", "gpus": 64, "months": 6, "serves": ["public"],
        "plan": name_of(plan),
    }  # fmt: skip
    services.papers.attach(taken.draft, plan, name="plan.pdf", field="plan", by=APPLICANT)
    services.papers.save("2026-2", answers, draft=taken.draft, by=APPLICANT)
    applied = services.papers.submit(taken.draft, key="", by=APPLICANT)
    assert isinstance(applied, Applied), applied

    with visiting(services, Role.OPERATOR) as visit:
        board = visit.get("/calls/2026-2/board?lang=en")

    assert "2026-2-0001" in board.text
    assert "Document check · Open (items of the checklist: 2)" in board.text
    assert "Presentation · Ahead" in board.text


def test_a_page_that_is_not_for_ones_role_names_the_roles_it_is_for(services: Services) -> None:
    with visiting(services, Role.REVIEWER) as visit:
        refused = visit.get("/jobs/submit?lang=ko")

    assert refused.status_code == 403 and "may not do" not in refused.text
    assert "지금 역할은 평가위원입니다." in refused.text and "참여인력" in refused.text
