"""The trip of an award in a real browser: told, read, signed; given up; printed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.conftest import Complaints, Served, follow, serving, sign_in
from tests.browser.test_pages import FAINT_TEXT, widest
from tests.scripts.offer_world import SIGNED_IN, OfferWorld

pytestmark = pytest.mark.browser

PAGES = (
    "/notices",
    "/letters/2026-00005",
    "/applications/t-0001",
    "/applications/t-0001/agreement",
    "/applications/t-0004",
    "/applications/t-0004/agreement",
    "/waitlist",
)


@pytest.fixture
def world() -> OfferWorld:
    return OfferWorld()


@pytest.fixture
def office(world: OfferWorld) -> Iterator[Served]:
    with serving(world.services()) as served:
        yield served


def test_an_award_is_found_read_and_signed_without_a_script(
    world: OfferWorld, office: Served, browser: Browser
) -> None:
    context = browser.new_context(java_script_enabled=False, locale="ko-KR")
    page = context.new_page()
    sign_in(page, office.base, SIGNED_IN)

    assert "4" in page.inner_text("#krds-header a[href='/notices']")
    follow(page, "#krds-header a[href='/notices']")
    follow(page, "a[href='/letters/2026-00005']")
    assert "두레-2026-00005" in page.inner_text("article.letter")
    follow(page, "nav.krds-breadcrumb-wrap a[href='/applications/t-0001']")
    follow(page, "a[href='/applications/t-0001/agreement']")
    assert "H200 40장을 배정한다" in page.inner_text(".document >> nth=0")
    page.fill("#f-name", "서윤아")
    follow(page, "form[action='/applications/t-0001/accept'] button")

    assert page.url == f"{office.base}/applications/t-0001"
    assert "서윤아" in page.inner_text("main")
    assert world.desk.statuses(["t-0001"]) == ["allocated"]
    context.close()


def test_a_place_in_line_is_given_up_and_the_next_moves_up(
    world: OfferWorld, office: Served, context: BrowserContext
) -> None:
    page = context.new_page()
    sign_in(page, office.base, SIGNED_IN)
    page.goto(f"{office.base}/applications/t-0004")
    assert "2번째" in page.inner_text("main")
    follow(page, "a[href='/applications/t-0004/agreement']")
    page.fill("#f-cause", "다른 지원을 받게 됨")
    follow(page, "form[action='/applications/t-0004/decline'] button")

    page.goto(f"{office.base}/waitlist")

    assert page.locator("table.data tbody tr").count() == 2
    assert world.desk.statuses(["t-0004"]) == ["declined"]


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_its_pages_complain_of_nothing_fit_a_phone_and_can_be_read(
    office: Served, context: BrowserContext, complaints: Complaints, lang: str
) -> None:
    page = context.new_page()
    complaints.watch(page, office.base)
    sign_in(page, office.base, SIGNED_IN)
    for path in PAGES:
        for width in (1440, 360):
            page.set_viewport_size({"width": width, "height": 800})
            answer = page.goto(f"{office.base}{path}?lang={lang}")
            assert answer is not None and answer.status == 200, path
            assert widest(page) <= width, (path, width)
        for theme in ("light", "dark"):
            page.goto(f"{office.base}{path}?theme={theme}")
            assert page.evaluate(FAINT_TEXT) == [], (path, theme)

    assert complaints.said == []


def test_a_letter_is_printed_alone(office: Served, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, office.base, SIGNED_IN)
    page.goto(f"{office.base}/letters/2026-00005")

    page.emulate_media(media="print")

    assert page.locator("article.letter").is_visible()
    for hidden in (".krds-main-menu", ".krds-breadcrumb-wrap", "main > .no-print", ".utility-list"):
        assert not page.locator(hidden).first.is_visible(), hidden
