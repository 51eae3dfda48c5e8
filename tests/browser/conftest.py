"""A real browser on a real server: what tests of pages need."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from dure.cli.server import make_server
from dure.services.desks import Services
from tests.portal.filled_programme import PASSWORD, filled_services

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
START_S = 20


@dataclass
class Served:
    """A platform that answers at ``base``."""

    base: str
    services: Services


@dataclass
class Complaints:
    """What a browser had to say against a page, and where it went outside."""

    said: list[str] = field(default_factory=list)

    def watch(self, page: Page, base: str) -> None:
        page.on(
            "console",
            lambda message: (
                self.said.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: self.said.append(f"script: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((base, "data:"))
                else self.said.append(f"outside: {request.url}")
            ),
        )


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving(filled_services()) as served:
        yield served


@contextmanager
def serving(services: Services) -> Iterator[Served]:
    """Serve pages and API over a set of services on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = make_server(services, port=port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{port}"
    _wait(server, thread)
    yield Served(base, services)
    server.should_exit = True
    thread.join(10)


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    pause = threading.Event()
    for _ in range(START_S * 50):
        if server.started or not thread.is_alive():
            break
        pause.wait(0.02)
    assert server.started, "the server did not start"


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium_path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="ko-KR")
    yield context
    context.close()


def follow(page: Page, pressed: str | Locator) -> None:
    """Press a link or a form's button; return when the page it leads to is there whole."""
    with page.expect_navigation():
        (page.locator(pressed) if isinstance(pressed, str) else pressed).click()


def sign_in(page: Page, base: str, user: str) -> None:
    page.goto(f"{base}/login")
    page.fill("#user", user)
    page.fill("#password", PASSWORD)
    page.click("main button.primary")
    page.wait_for_url(f"{base}/")
