"""Many pages on one: their names and links."""

import pytest
from bs4 import BeautifulSoup

import single_page
from single_page import address, assemble

NAMES = {"book/01-a", "book/02-b"}
HEAD = '<title>A</title><link rel="stylesheet" href="../_static/s.css"><script>theme()</script>'
MATH = '<script>window.MathJax = {}</script><script src="../_static/mathjax/tex.js"></script>'


@pytest.fixture
def site(tmp_path):
    """Two pages; the second has formulas."""
    (tmp_path / "book").mkdir()

    def write(name, head, body):
        text = f"<html><head>{head}</head><body><nav>menu</nav>{body}</body></html>"
        (tmp_path / "book" / f"{name}.html").write_text(text)

    body = '<article class="bd-article"><h1 id="top">T</h1><a href="{}">on</a>{}</article>'
    write("01-a", HEAD, body.format("02-b.html#top", "<details><p>solved</p></details>"))
    write("02-b", HEAD + MATH, body.format("#top", '<img src="../_static/x.png">'))
    return tmp_path


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("#top", "#01-a--top"),
        ("02-b.html", "#02-b"),
        ("02-b.html#top", "#02-b--top"),
        ("../book/02-b.html#top", "#02-b--top"),
        ("../notebooks/01-a.ipynb", "../notebooks/01-a.ipynb"),
        ("genindex.html#x", "genindex.html#x"),
        ("https://x.org/02-b.html#top", "https://x.org/02-b.html#top"),
    ],
)
def test_links_between_pages_become_links_within_one(link, expected):
    assert address(link, "book/01-a", NAMES) == expected


def test_every_name_is_there_once_and_every_link_leads_to_one(site):
    soup = BeautifulSoup(assemble(["book/01-a", "book/02-b"], site), "html.parser")
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert ids == ["01-a", "01-a--top", "02-b", "02-b--top"]
    assert [tag["href"] for tag in soup.select("a")] == ["#02-b--top", "#02-b--top"]


def test_only_the_text_is_taken_and_nothing_is_folded(site):
    soup = BeautifulSoup(assemble(["book/01-a", "book/02-b"], site), "html.parser")
    assert soup.find("nav") is None and "theme()" not in str(soup)
    assert soup.details.has_attr("open")


def test_the_head_is_that_of_a_page_with_formulas(site):
    soup = BeautifulSoup(assemble(["book/01-a", "book/02-b"], site), "html.parser")
    assert len(soup.select("head > link")) == 1 and len(soup.select("head > script")) == 2


def test_pictures_are_found_from_where_the_page_would_lie(site):
    assert single_page.NAME.startswith("book/")
    assert 'src="../_static/x.png"' in assemble(["book/02-b"], site)


def test_a_page_that_is_not_there_is_refused(site, refusal):
    with refusal("book/03-c: expected a page of the built site, got none; run make book"):
        assemble(["book/03-c"], site)
