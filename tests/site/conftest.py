"""The built pages, and a browser and a web server to look at them."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LOCAL = ("http://127.0.0.1:", "file:", "data:", "blob:")

Open = Callable[..., AbstractContextManager["Visit"]]


@dataclass(frozen=True)
class BuiltPage:
    """One page of the site, as a file."""

    name: str

    @property
    def path(self) -> Path:
        return HTML / self.name

    @property
    def notebook(self) -> Path:
        """Where the page's notebook lies, if it was one."""
        return HTML / "notebooks" / f"{self.path.stem}.ipynb"

    @property
    def markup(self) -> BeautifulSoup:
        return parsed(self.path)

    def has(self, selector: str) -> bool:
        return self.markup.select_one(selector) is not None


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def pages() -> list[BuiltPage]:
    """Every page, but for the one that only leads to the first."""
    names = sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html"))
    return [BuiltPage(name) for name in names if not name.startswith(("index.html", "_static/"))]


KINDS: dict[str, Callable[[BuiltPage], bool]] = {
    "page": lambda page: True,
    "chapter": lambda page: page.notebook.exists(),
    "page_with_formulas": lambda page: page.has("article .math"),
    "page_with_questions": lambda page: page.has("article .edudiff-quiz"),
    "page_with_sliders": lambda page: page.has("article input[type=range]"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for every page of the kind that it asks for."""
    for kind in KINDS.keys() & set(metafunc.fixturenames):
        chosen = [page for page in pages() if KINDS[kind](page)]
        metafunc.parametrize(kind, chosen, ids=[page.name for page in chosen])


@dataclass
class Visit:
    """One look at one page, and everything that went wrong on the way."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("requestfailed", lambda failed: self.complaints.append(f"no {failed.url}"))
        self.page.on("console", self.hear)
        self.page.on("response", self.check)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def check(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} for {response.url}")

    def gate(self, route: Route) -> None:
        """Let nothing out."""
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            self.complaints.append(f"asked for {route.request.url}")
            route.abort()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        pytest.skip("no Chromium: apt install chromium, or set CHROMIUM to the path of one")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--no-proxy-server"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Browser) -> Open:
    """Open an address and let the page settle: `with look(url, color_scheme="dark") as seen`."""

    @contextmanager
    def open_page(url: str, **options: Any) -> Iterator[Visit]:
        context = chromium.new_context(**options)
        visit = Visit(context.new_page())
        visit.listen()
        context.route("**/*", visit.gate)
        visit.page.goto(url, wait_until="load")
        if options.get("java_script_enabled", True):
            visit.page.evaluate("window.MathJax?.startup?.promise.then(() => true)")
            visit.page.wait_for_timeout(200)
        yield visit
        context.close()

    return open_page


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[[BuiltPage], str]]:
    """The address of a page on a web server of this machine."""
    handler = partial(QuietHandler, directory=str(HTML))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda page: f"http://127.0.0.1:{server.server_port}/{page.name}"
    server.shutdown()
