"""The zip of the site, and the order of the pages in print."""

import os
import re
import shutil
import zipfile

import pytest

import archive

TOC = """\
root: book/intro
parts:
  - caption: One
    chapters:
      - file: book/01-a
        sections: [{file: book/01-more}]
      - file: book/02-b
  - caption: Two
    chapters: [{file: book/references}]
"""


PAGE = """<html><head><title>A</title><link rel="stylesheet" href="../_static/style.css"></head>
<body><article class="bd-article"><h1 id="a">A</h1><a href="https://x.org">out</a>
<img src="https://x.org/outside.png" alt="x"></article></body></html>"""


@pytest.fixture
def site(tmp_path):
    """A site of three files in two folders."""
    for name in ("index.html", "book/01-a.html", "_static/style.css"):
        path = tmp_path / "html" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 50)
    return tmp_path / "html"


def test_pages_come_in_the_order_of_the_table_of_contents(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC)
    names = ["intro", "01-a", "01-more", "02-b", "references"]
    assert list(archive.pages(tmp_path / "_toc.yml")) == [f"book/{name}" for name in names]


def test_every_page_of_the_book_is_printed_once():
    names = list(archive.pages(archive.build_book.ROOT / "_toc.yml"))
    assert names[0] == "book/intro" and len(names) == len(set(names)) > 20


def test_the_zip_holds_the_site_in_one_folder(site, tmp_path):
    archive.pack(site, tmp_path / "edudiff-1.zip")
    with zipfile.ZipFile(tmp_path / "edudiff-1.zip") as packed:
        assert packed.namelist() == [
            "edudiff-1/_static/style.css",
            "edudiff-1/book/01-a.html",
            "edudiff-1/index.html",
        ]
        assert packed.read("edudiff-1/index.html") == (site / "index.html").read_bytes()


def test_the_same_site_gives_the_same_bytes(site, tmp_path):
    (tmp_path / "one").mkdir()
    archive.pack(site, tmp_path / "one" / "book.zip")
    for path in site.rglob("*.html"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o600)
    archive.pack(site, tmp_path / "book.zip")
    assert (tmp_path / "one" / "book.zip").read_bytes() == (tmp_path / "book.zip").read_bytes()


def test_a_changed_page_gives_other_bytes(site, tmp_path):
    archive.pack(site, tmp_path / "book.zip")
    before = (tmp_path / "book.zip").read_bytes()
    (site / "index.html").write_text("changed")
    archive.pack(site, tmp_path / "book.zip")
    assert (tmp_path / "book.zip").read_bytes() != before


def test_without_a_chromium_the_reason_is_said(monkeypatch):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="No Chromium to print with: apt install chromium"):
        archive.chromium()


def test_pages_are_printed_one_after_the_other_with_their_styles_and_without_a_network(site):
    if not (os.environ.get("CHROMIUM") or any(map(shutil.which, archive.CHROMIUMS))):
        pytest.skip("no Chromium: apt install chromium, or set CHROMIUM to the path of one")
    for name in ("01-a", "02-b"):
        (site / "book" / f"{name}.html").write_text(PAGE)
    target = site / "book.pdf"
    pages_of = re.compile(rb"/Type\s*/Page\b")
    (site / "_static" / "style.css").write_text("")
    archive.print_book(["book/01-a", "book/02-b"], site, target)
    assert target.read_bytes().startswith(b"%PDF") and b"/Outlines" in target.read_bytes()
    assert len(pages_of.findall(target.read_bytes())) == 1
    style = "@media print { .edudiff-page { break-before: page; } }"
    (site / "_static" / "style.css").write_text(style)
    archive.print_book(["book/01-a", "book/02-b"], site, target)
    assert len(pages_of.findall(target.read_bytes())) == 2
