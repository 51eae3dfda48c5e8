"""Pages in a real browser: nothing complains or leaves, cells are drawn, no form needs a script."""

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from dure.services.access import Role
from dure.services.views import DEVICE_STATES
from tests.browser.conftest import Complaints, Served, follow, sign_in
from tests.portal.filled_here import FilledPool
from tests.portal.visiting import USER_OF

pytestmark = pytest.mark.browser

PUBLIC = ["/", "/?pool=here", "/map", "/loans", "/calls", "/calls/2026-1", "/waitlist", "/help"]
SIGNED_IN = {
    Role.OPERATOR: [
        "/operator",
        "/supply",
        "/tickets",
        "/jobs",
        "/jobs/j200007",
        "/projects",
        "/projects/p-2026-1-0003",
    ],
    Role.MEMBER: ["/jobs/h1?pool=here", "/loans", "/projects/p-2026-1-0003/data?path=sets"],
    Role.APPLICANT: ["/calls/2026-2/apply", "/me", "/jobs/submit"],
}
# How many different colours a map of seven kinds at least shows.
COLOURS_MIN = 6


def widest(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("role", [None, *SIGNED_IN])
def test_no_page_complains_leaves_the_site_or_is_wider_than_a_phone(
    served: Served, browser: Browser, complaints: Complaints, role: Role | None, lang: str
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="ko-KR")
    page = context.new_page()
    complaints.watch(page, served.base)
    if role is not None:
        sign_in(page, served.base, USER_OF[role])
    for path in PUBLIC if role is None else SIGNED_IN[role]:
        for width in (1440, 360):
            page.set_viewport_size({"width": width, "height": 800})
            joined = "&" if "?" in path else "?"
            answer = page.goto(f"{served.base}{path}{joined}lang={lang}")
            assert answer is not None and answer.status == 200, path
            assert page.locator("html").get_attribute("lang") == lang
            page.wait_for_load_state("load")
            assert widest(page) <= width, (path, width)
    context.close()

    assert complaints.said == []


def open_map(page: Page, served: Served, query: str = "") -> None:
    page.goto(f"{served.base}/map{query}")
    page.locator("#map[data-drawn]").wait_for()


COUNT_COLOURS = """() => {
  const canvas = document.getElementById('map');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer), seen = new Map();
  for (const pixel of pixels) seen.set(pixel, (seen.get(pixel) || 0) + 1);
  return [...seen.values()].filter((count) => count > 100).length;
}"""


def test_the_map_draws_cells_and_tells_about_a_node_by_keyboard(
    served: Served, context: BrowserContext, complaints: Complaints
) -> None:
    page = context.new_page()
    complaints.watch(page, served.base)
    sign_in(page, served.base, USER_OF[Role.OPERATOR])
    open_map(page, served)

    assert page.evaluate(COUNT_COLOURS) >= COLOURS_MIN
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    assert "naver-h200-a-0001" in page.inner_text("#map-detail")
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "End", "Home"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#map-detail a[href*='/jobs/'], #map-detail:has-text('작업 없음')")
    before = page.locator(".map-space").bounding_box()
    page.click("#map-in")
    page.click("#map-in")
    after = page.locator(".map-space").bounding_box()
    assert before is not None and after is not None and after["height"] > before["height"]
    assert complaints.said == []


def test_the_map_shows_the_gpu_under_the_pointer(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    open_map(page, served)

    # The first cell of the first node: right of the names, under the provider's.
    page.mouse.move(*_first_cell(page))

    assert page.locator("#map-tip").is_visible()
    assert page.inner_text("#map-tip").startswith("naver-h200-a-0001 · GPU 0")


def _first_cell(page: Page) -> tuple[float, float]:
    box = page.locator("#map").bounding_box()
    assert box is not None
    return box["x"] + 168 + 1, box["y"] + 34 + 1


def test_the_map_follows_what_happens(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    open_map(page, served)
    pool = served.services.pools["founding"]
    assert isinstance(pool, FilledPool)
    before = pool.shown
    state = before.device_state.copy()
    state[:800] = DEVICE_STATES.index("down")
    kinds = tuple(int(one) * 1000 for one in np.bincount(state, minlength=7))
    try:
        pool.shown = replace(
            before, seq=before.seq + 1, now_s=before.now_s + 3600, device_state=state,
            kinds_milli=kinds,
        )  # fmt: skip
        page.locator(f"#map[data-drawn='{before.seq + 1}']").wait_for()
        assert page.inner_text("[data-live='down']") == f"{kinds[6] // 1000:,}"
        assert "10:00" in page.inner_text("[data-live='now']")
        page.mouse.move(*_first_cell(page))
        assert "장애" in page.inner_text("#map-tip")
    finally:
        pool.shown = before


def test_the_page_of_a_running_job_follows_it(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, served.base, USER_OF[Role.MEMBER])
    page.goto(f"{served.base}/jobs/h1?pool=here")
    assert page.inner_text("#output").strip() == "hello from here-1"
    pool = served.services.pools["here"]
    assert isinstance(pool, FilledPool)
    before = pool.shown
    story = before.story("h1")
    assert story is not None
    ended = replace(story, row=replace(story.row, state="COMPLETED"))
    try:
        pool.shown = replace(before, seq=2, story=lambda job: ended)
        page.locator("#job[data-state='COMPLETED']").wait_for()
    finally:
        pool.shown = before


def test_live_figures_can_be_paused(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(served.base)
    button = page.locator(".live-toggle")

    button.click()

    assert button.get_attribute("aria-pressed") == "false"
    assert button.inner_text() == "갱신 멈춤"


def test_forms_work_without_a_script(served: Served, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    sign_in(page, served.base, USER_OF[Role.APPLICANT])
    page.goto(f"{served.base}/calls/2026-2/apply")
    page.fill("#f-title_ko", "바다 예측 모델")
    page.fill("#f-organisation", "가온대학교")
    page.select_option("#f-group", "academia")
    page.select_option("#f-accelerator", "B200")
    page.fill("#f-gpus", "12")
    page.fill("#f-months", "6")
    page.select_option("#f-work_kind", "finetuning")
    follow(page, "main form button.primary")

    assert page.input_value("#f-title_ko") == "바다 예측 모델"
    assert "12" in page.inner_text("#f-gpus-error")
    page.fill("#f-gpus", "16")
    follow(page, "main form button.primary")
    assert "/applications/" in page.url
    assert page.locator(".krds-notice.success").is_visible()
    page.goto(f"{served.base}/map")
    assert page.locator("noscript, .tbl").first.is_visible()
    context.close()


def test_the_keyboard_reaches_the_content_first(served: Served, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(served.base)

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(
    served: Served, context: BrowserContext, theme: str
) -> None:
    page = context.new_page()
    sign_in(page, served.base, USER_OF[Role.APPLICANT])
    page.goto(f"{served.base}/?theme={theme}")
    faint = {
        path: page.evaluate(FAINT_TEXT)
        for path in ("/", "/calls", "/jobs", "/jobs/submit", "/calls/2026-2/apply", "/nope", "/me")
        if page.goto(served.base + path)
    }

    assert {path: texts for path, texts in faint.items() if texts} == {}


# Texts whose contrast to the nearest painted ground is below WCAG's AA.
FAINT_TEXT = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    if (!own || element.closest('svg, noscript') || !element.offsetParent) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(ground(element))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const enough = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if ((a + 0.05) / (b + 0.05) >= enough) continue;
    faint.push(element.textContent.trim().slice(0, 40) + ' ' + style.color);
  }
  return faint;
}"""
