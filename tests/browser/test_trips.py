"""The main trips in a real browser, by forms alone: apply, review, decide, hold, wait."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from dure.services.access import Role
from tests.browser.conftest import Complaints, Served, follow, serving, sign_in
from tests.browser.test_pages import FAINT_TEXT, widest
from tests.browser.trip_world import LEAD, PDF, REVIEWER, TripWorld
from tests.portal.visiting import USER_OF

pytestmark = pytest.mark.browser

OFFICE, INSPECTOR = USER_OF[Role.OPERATOR], USER_OF[Role.PROVIDER]


@pytest.fixture
def world() -> TripWorld:
    return TripWorld()


@pytest.fixture
def office(world: TripWorld) -> Iterator[Served]:
    with serving(world.services()) as served:
        yield served


@contextmanager
def signed_in(browser: Browser, served: Served, user: str) -> Iterator[Page]:
    """Open a page as somebody, in Korean and without scripts."""
    context = browser.new_context(java_script_enabled=False, locale="ko-KR")
    page = context.new_page()
    sign_in(page, served.base, user)
    yield page
    context.close()


def send(page: Page, action: str, text: str = "") -> None:
    """Press a form's button; a form that is folded away is unfolded first."""
    form = page.locator(f"form[action='{action}']").filter(has_text=text)
    folded = page.locator(f"details:not([open]):has(form[action='{action}'])").filter(has_text=text)
    if folded.count():
        folded.first.locator("summary").click()
    follow(page, form.locator("button").first)


def told(page: Page) -> str:
    return page.inner_text("main")


def test_an_application_is_kept_mended_handed_in_changed_withdrawn_and_handed_in_anew(
    world: TripWorld, office: Served, browser: Browser
) -> None:
    with signed_in(browser, office, LEAD) as page:
        page.goto(f"{office.base}/calls/trip/apply")
        page.fill("#f-title_ko", "기상 예측 확산모델")
        page.fill("#f-gpus", "열둘")
        page.check("input[name=serves][value=climate]")
        follow(page, "button[name=save]")
        draft = page.url
        page.goto(f"{office.base}/applications")
        follow(page, "table.data th a")
        # A draft keeps what was typed, right or wrong.
        assert page.url.split("&")[0] == draft.split("&")[0]
        assert page.input_value("#f-gpus") == "열둘"
        assert page.is_checked("input[name=serves][value=climate]")

        page.fill("#f-organisation", "가온대학교")
        page.select_option("#f-group", "academia")
        page.select_option("#f-accelerator", "H200")
        page.fill("#f-months", "6")
        page.set_input_files("#f-plan", {"name": "계획.exe", "mimeType": "", "buffer": b"MZ\x90"})
        follow(page, "main form button.primary")
        assert "매크로" in page.inner_text("#f-plan-error")
        page.fill("#f-gpus", "44")
        page.set_input_files("#f-plan", {"name": "계획.pdf", "mimeType": "", "buffer": PDF})
        follow(page, "main form button.primary")
        assert "44장" in page.inner_text("#f-gpus-error")
        assert "계획.pdf" in told(page)
        page.fill("#f-gpus", "40")
        follow(page, "main form button.primary")
        assert page.url.startswith(f"{office.base}/applications/trip-0001"), told(page)
        assert "기후" in told(page) and "계획.pdf" in told(page)

        send(page, "/applications/trip-0001/begin")
        page.fill("#f-gpus", "32")
        follow(page, "main form button.primary")
        assert "32장" in told(page) and "trip-0001" in page.url

        send(page, "/applications/trip-0001/withdraw")
        assert page.locator(".krds-notice.success").is_visible()
        send(page, "/applications/trip-0001/begin")
        follow(page, "main form button.primary")
        assert "trip-0002" in page.url

    states = world.programme.tables.applications
    assert {name: (one.status, one.submitted.gpus, one.submitted.version)
            for name, one in states.items()} == {
        "trip-0001": ("withdrawn", 32, 2),
        "trip-0002": ("submitted", 32, 1),
    }  # fmt: skip


def test_a_call_goes_through_its_stages_by_the_forms_of_those_who_answer_for_them(
    world: TripWorld, office: Served, browser: Browser
) -> None:
    names = [world.hand_in("lead1", "수어 생성", 24, "라온대학교"),
             world.hand_in("lead2", "신소재 탐색", 16, "마루대학교")]  # fmt: skip
    world.move_to("2026-07-01 09:00")

    with signed_in(browser, office, OFFICE) as page:
        page.goto(f"{office.base}/stages")
        assert page.locator("table.data tbody tr").count() == 2
        follow(page, "table.data th a >> nth=0")
        page.check("input[name=items][value=consent]")
        page.fill("#f-note", "등록증을 내 주십시오")
        send(page, f"/applications/{names[0]}/stages/documents/checklist")
        # What was ticked can be ticked otherwise until all is in order.
        assert page.is_checked("input[value=consent]") and not page.is_checked(
            "input[value=registration]"
        )
        page.check("input[name=items][value=registration]")
        send(page, f"/applications/{names[0]}/stages/documents/checklist")
        assert "통과" in page.inner_text(".krds-notice")
    world.check_documents(names[1])

    with signed_in(browser, office, INSPECTOR) as page:
        page.goto(f"{office.base}/stages")
        follow(page, f"a[href='/applications/{names[0]}/stages/technical']")
        assert "수행계획서.pdf" in told(page)
        page.check("input[value=passed]")
        send(page, f"/applications/{names[0]}/stages/technical/conclusion")
        page.goto(f"{office.base}/applications/{names[1]}/stages/technical")
        page.check("input[value=failed]")
        page.fill("#f-conclude-cause", "여러 노드에서 돌려 본 적이 없습니다")
        send(page, f"/applications/{names[1]}/stages/technical/conclusion")
        page.goto(f"{office.base}/stages")
        assert page.locator("table.data").count() == 0

    with signed_in(browser, office, OFFICE) as page:
        page.goto(f"{office.base}/calls/trip/board")
        page.fill("input[name=due]", "2026-07-20")
        send(page, "/calls/trip/stages/written/assign")
        assert "평가 2건을 요청했습니다" in told(page)
    state = world.programme.tables.applications[names[0]]
    assert set(state.due_at_s.values()) == {1_784_559_600}  # the end of 20 July in Korea
    assert world.programme.tables.applications[names[1]].status == "stage_failed"


def test_a_reviewer_steps_back_from_one_marks_another_and_votes_in_the_panel(
    world: TripWorld, office: Served, browser: Browser
) -> None:
    names = [world.hand_in(f"lead{place}", f"과제 {place}", 16, f"{place} 대학교")
             for place in range(4)]  # fmt: skip
    world.move_to("2026-07-01 09:00")
    world.check_documents(*names)
    world.inspect(*names)
    world.ask_for("written")
    tables = world.programme.tables
    asked = [name for name in names if REVIEWER in tables.applications[name].asked_in("written")]

    with signed_in(browser, office, REVIEWER) as page:
        page.goto(f"{office.base}/reviews")
        assert page.locator("table.data tbody tr").count() == len(asked) == 2
        follow(page, f"a[href='/reviews/{asked[0]}']")
        page.fill("#f-reason", "지도학생의 과제입니다")
        send(page, f"/reviews/{asked[0]}/conflict")
        follow(page, f"a[href='/reviews/{asked[1]}']")
        assert "수행계획서.pdf" in told(page)
        page.fill("#f-impact", "82")
        page.fill("#f-ecosystem", "182")
        send(page, f"/reviews/{asked[1]}")
        assert page.input_value("#f-impact") == "82" and "100점" in page.inner_text("#problems")
        page.fill("#f-ecosystem", "74")
        send(page, f"/reviews/{asked[1]}")

        for name in names:
            world.mark(name, 80)
        world.ask_for("panel")
        panel = [name for name in names if REVIEWER in tables.applications[name].asked_in("panel")]
        page.goto(f"{office.base}/reviews")
        follow(page, f"a[href='/applications/{panel[0]}/stages/panel']")
        page.check("input[name=recognises][value=yes]")
        send(page, f"/applications/{panel[0]}/stages/panel/vote")
        assert page.locator("form[action$='/vote']").count() == 0

    assert asked[0] not in panel
    given = [one.marks for one in tables.applications[asked[1]].reviews if one.reviewer == REVIEWER]
    assert given == [{"impact": 82, "ecosystem": 74}]
    assert tables.applications[panel[0]].votes["panel"] == {REVIEWER: True}


def test_the_committee_moves_the_share_out_by_its_table_and_signs(
    world: TripWorld, office: Served, browser: Browser
) -> None:
    names = world.judged()

    with signed_in(browser, office, OFFICE) as page:
        page.goto(f"{office.base}/calls/trip/board")
        follow(page, "a[href='/committee/trip']")
        send(page, "/committee/trip/propose")
        page.check(f"input[name=exclude][value={names[1]}]")
        send(page, "/committee/trip/move")
        # Without a reason it is refused; what was ticked stays ticked.
        assert page.is_checked(f"input[name=exclude][value={names[1]}]")
        page.fill("#f-reason", "다른 사업과 중복")
        page.fill("#f-line", "70")
        send(page, "/committee/trip/move")
        assert f"제외: {names[1]}" in told(page) and "배정안 1에서 달라진 것" in told(page)
        page.fill("#f-names", "김위원장\n이위원")
        send(page, "/committee/trip/sign")
        assert "김위원장, 이위원" in told(page)

    statuses = [world.programme.tables.applications[name].status for name in names]
    assert statuses == ["offered", "rejected", "offered", "waitlisted"]


def test_an_allocation_is_signed_used_asked_about_and_given_back_to_the_next_in_line(
    world: TripWorld, office: Served, browser: Browser
) -> None:
    first, second = waiting_pair(world)

    with signed_in(browser, office, LEAD) as page:
        page.goto(f"{office.base}/applications/{first}/agreement")
        page.fill("#f-name", "서윤아")
        send(page, f"/applications/{first}/accept")
        world.move_to("2026-08-10 09:00")
        page.goto(f"{office.base}/projects")
        follow(page, f"a[href='/projects/p-{first}']")
        follow(page, f"a[href='/applications/{first}']")
        extension = page.locator("details", has_text="연장").first
        extension.locator("summary").click()
        page.fill("#r-extension-months", "40")
        page.fill("#r-extension-cause", "장애로 두 달을 쓰지 못했습니다")
        follow(page, extension.locator("button"))
        assert "12개월까지" in told(page)
        assert page.input_value("#r-extension-cause") == "장애로 두 달을 쓰지 못했습니다"
        page.fill("#r-extension-months", "2")
        follow(page, page.locator("details[open] button").first)
        assert "요청을 접수했습니다" in told(page)

    with signed_in(browser, office, OFFICE) as page:
        page.goto(f"{office.base}/requests")
        page.fill("input[name=cause]", "장애 기록을 확인했습니다")
        follow(page, "button[value=grant]")
        assert "장애 기록을 확인했습니다" in told(page)

    with signed_in(browser, office, LEAD) as page:
        page.goto(f"{office.base}/projects/p-{first}")
        assert page.locator("table.data tbody tr").count() >= 2
        page.locator("details summary", has_text="반납").click()
        page.fill("input[name=gpus]", "40")
        send(page, f"/projects/p-{first}/return")
        page.goto(f"{office.base}/waitlist")
        assert second not in told(page)

    assert world.programme.tables.applications[second].status == "offered"


def waiting_pair(world: TripWorld) -> tuple[str, str]:
    """Return an award of the traveller's and who waits behind it; the rest of the pool is free."""
    names = [world.hand_in(LEAD, "기상 예측 확산모델", 40, "가온대학교"),
             world.hand_in("lead1", "수어 생성", 40, "라온대학교")]  # fmt: skip
    world.move_to("2026-07-01 09:00")
    world.check_documents(*names)
    world.inspect(*names)
    world.ask_for("written")
    world.mark(names[0], 90)
    world.mark(names[1], 75)
    world.ask_for("panel")
    for name in names:
        world.vote(name)
    world.sign()
    assert [world.programme.tables.applications[one].status for one in names] == [
        "offered",
        "waitlisted",
    ]
    return names[0], names[1]


def test_the_waitlist_shows_ones_place_and_the_page_of_it_the_date(
    world: TripWorld, office: Served, browser: Browser
) -> None:
    _, second = waiting_pair(world)

    with signed_in(browser, office, OFFICE) as page:
        page.goto(f"{office.base}/waitlist")
        follow(page, f"a[href='/applications/{second}']")
        assert "1번째" in told(page) and "예상일" in told(page)
    with signed_in(browser, office, LEAD) as page:
        page.goto(f"{office.base}/waitlist")
        assert second not in told(page) and "비공개" in told(page)


def test_the_form_shows_the_questions_of_the_chosen_work_and_none_that_is_filled_is_hidden(
    office: Served, context: BrowserContext
) -> None:
    page = context.new_page()
    sign_in(page, office.base, LEAD)
    page.goto(f"{office.base}/calls/trip/apply")

    seen = [page.is_visible("#f-latency_ms")]
    page.select_option("#f-work_kind", "inference")
    seen.append(page.is_visible("#f-latency_ms"))
    page.fill("#f-latency_ms", "50")
    page.select_option("#f-work_kind", "hpc")

    assert seen == [False, True]
    assert page.is_visible("#f-latency_ms") and page.is_visible("#f-scaling")
    assert not page.is_visible("#f-output_tokens")


PAGES = {
    OFFICE: ("/stages", "/calls/trip", "/calls/trip/board", "/committee/trip", "/requests",
             "/applications/trip-0001/stages/documents", "/applications/trip-0003/stages/panel"),
    INSPECTOR: ("/stages", "/applications/trip-0002/stages/technical"),
    REVIEWER: ("/reviews", "/stages"),
    LEAD: ("/calls/trip/apply", "/applications", "/applications/trip-0003", "/requests"),
}  # fmt: skip


@pytest.mark.parametrize("user", list(PAGES))
def test_their_pages_complain_of_nothing_fit_a_phone_and_can_be_read(
    world: TripWorld, office: Served, context: BrowserContext, complaints: Complaints, user: str
) -> None:
    early = [world.hand_in(f"early{place}", f"앞선 과제 {place}", 8, "나루대학교")
             for place in range(2)]  # fmt: skip
    world.judged()
    world.check_documents(early[1])
    page = context.new_page()
    complaints.watch(page, office.base)
    sign_in(page, office.base, user)
    for path in PAGES[user]:
        for lang in ("ko", "en"):
            for width in (1440, 360):
                page.set_viewport_size({"width": width, "height": 800})
                answer = page.goto(f"{office.base}{path}?lang={lang}")
                assert answer is not None and answer.status == 200, path
                assert widest(page) <= width, (path, lang, width)
        for theme in ("light", "dark"):
            page.goto(f"{office.base}{path}?theme={theme}")
            assert page.evaluate(FAINT_TEXT) == [], (path, theme)
        assert page.evaluate(UNNAMED) == [], path

    assert complaints.said == []


# Fields and buttons without a name that a screen reader could say, and ids that are there twice.
UNNAMED = """() => {
  const bare = [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button')]
    .filter((one) => !(one.labels && one.labels.length) && !one.getAttribute('aria-label')
      && !one.getAttribute('aria-labelledby') && !one.textContent.trim());
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  return [...bare.map((one) => one.outerHTML),
          ...ids.filter((one, place) => ids.indexOf(one) !== place)];
}"""
