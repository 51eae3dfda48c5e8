"""Take the pictures of the docs from a platform that runs, in Debian's chromium.

    .venv/bin/python tools/pictures.py --url http://127.0.0.1:8470 [--user NAME --password WORD]

Without an account only the public pages are taken. Look at them before committing.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Name, path, language, theme, window.
PUBLIC = (
    ("overview", "/", "ko", "light", DESKTOP),
    ("overview-en-dark", "/", "en", "dark", DESKTOP),
    ("overview-phone", "/", "ko", "light", PHONE),
    ("map", "/map", "ko", "light", DESKTOP),
    ("loans", "/loans", "ko", "light", DESKTOP),
    ("call", "/calls", "ko", "light", DESKTOP),
    ("waitlist", "/waitlist", "ko", "light", DESKTOP),
)
SIGNED_IN = (
    ("projects", "/projects", "ko", "light", DESKTOP),
    ("jobs", "/jobs?state=waiting", "ko", "light", DESKTOP),
    ("operator", "/operator", "ko", "light", DESKTOP),
)
SETTLE_MS = 1200


def take(
    page: Page, url: str, out: Path, picture: tuple[str, str, str, str, dict[str, int]]
) -> None:
    """Open one page and keep what the window shows."""
    name, path, lang, theme, window = picture
    page.set_viewport_size(window)  # type: ignore[arg-type]
    joined = "&" if "?" in path else "?"
    answer = page.goto(f"{url}{path}{joined}lang={lang}&theme={theme}")
    if answer is None or answer.status != 200:
        print(f"{path}: {answer.status if answer else 'no answer'}; left out", file=sys.stderr)
        return
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=out / f"{name}.png")
    print(out / f"{name}.png")


def all_pictures(browser: Browser, url: str, out: Path, user: str, password: str) -> None:
    page = browser.new_context(locale="ko-KR").new_page()
    for picture in PUBLIC:
        take(page, url, out, picture)
    if user:
        page.goto(f"{url}/login")
        page.fill("#user", user)
        page.fill("#password", password)
        page.click("main button.primary")
        page.wait_for_url(f"{url}/")
        for picture in SIGNED_IN:
            take(page, url, out, picture)


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--url", default="http://127.0.0.1:8470")
    words.add_argument("--out", type=Path, default=Path("docs/pictures"))
    words.add_argument("--user", default="")
    words.add_argument("--password", default="")
    given = words.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("pictures: chromium was not found; run `make setup-browser` first.")
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS.split())
        all_pictures(browser, given.url.rstrip("/"), given.out, given.user, given.password)
        browser.close()


if __name__ == "__main__":
    main()
