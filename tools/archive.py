"""Pack the built site for reading without a network: `make archive` calls this after `make book`.

Two files land in `_build/archive`: the site as a zip, the same to the last byte whenever the site
is, and the whole book as one PDF, which Chromium prints.
"""

import os
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from playwright.sync_api import Route, sync_playwright

import build_book
import single_page

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time that every file in the zip has: the first that a zip can hold."""

SITE = "http://book.invalid/"
"""Where the browser finds the book while it prints: nowhere but in this process."""

FOOTER = """<div style="width: 100%; font: 8pt sans-serif; color: #586270; text-align: center">
<span class="pageNumber"></span></div>"""


def pages(toc: Path) -> Iterator[str]:
    """The book's pages in order, as `_toc.yml` has them: "book/01-rendering"."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    yield contents["root"]
    pending = [*contents.get("parts", []), *contents.get("chapters", [])]
    while pending:
        entry = pending.pop(0)
        if "file" in entry:
            yield entry["file"]
        pending = [*entry.get("chapters", []), *entry.get("sections", []), *pending]


def pack(site: Path, target: Path) -> None:
    """Write a folder into a zip, under the zip's name: the same folder gives the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(each for each in site.rglob("*") if each.is_file()):
            name = Path(target.stem) / path.relative_to(site)
            entry = zipfile.ZipInfo(name.as_posix(), LONG_AGO)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3  # as on Unix
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())


def chromium() -> str:
    """The path of a Chromium; the program ends where there is none."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        sys.exit("No Chromium to print with: apt install chromium, or set CHROMIUM to one's path.")
    return path


def print_book(names: list[str], site: Path, target: Path) -> None:
    """Print pages of the site, one after the other, as one PDF with an outline."""
    whole = single_page.assemble(names, site)

    def answer(route: Route) -> None:
        """Give the browser the page made of all pages, or a file of the site; never more."""
        path = route.request.url.removeprefix(SITE).partition("?")[0]
        if path == single_page.NAME:
            route.fulfill(body=whole, content_type="text/html; charset=utf-8")
        elif route.request.url.startswith(SITE) and (site / path).is_file():
            route.fulfill(path=site / path)
        else:
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--no-proxy-server"]
        )
        page = browser.new_page()
        page.set_default_timeout(0)  # a whole book of formulas takes as long as it takes
        page.route("**/*", answer)
        page.goto(SITE + single_page.NAME, wait_until="load")
        page.evaluate("window.MathJax?.startup?.promise.then(() => true)")
        page.pdf(
            path=target,
            format="A4",
            print_background=True,
            display_header_footer=True,
            header_template=" ",
            footer_template=FOOTER,
            margin={"top": "18mm", "bottom": "20mm", "left": "17mm", "right": "17mm"},
            outline=True,
            tagged=True,
        )
        browser.close()


def main() -> None:
    """Make both files, and say where they are."""
    project = tomllib.loads((build_book.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    name = f"edudiff-{project['project']['version']}"
    folder = build_book.BUILD / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    pack(build_book.HTML, folder / f"{name}.zip")
    print_book(list(pages(build_book.ROOT / "_toc.yml")), build_book.HTML, folder / f"{name}.pdf")
    for path in (folder / f"{name}.zip", folder / f"{name}.pdf"):
        print(f"{path.relative_to(build_book.ROOT)}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
