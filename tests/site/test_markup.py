"""What can be said of the pages without a browser."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

CONFIG = Path(__file__).resolve().parents[2] / "_config.yml"
PAGE_BUDGET = 1_000_000


def is_outside(address):
    return urlsplit(address).scheme in ("http", "https", "mailto") or address.startswith("//")


def test_the_book_has_chapters(chapter):
    assert chapter.has("article h1")


def test_a_chapter_has_the_number_of_its_file(chapter):
    named = re.match(r"(\d+)-", chapter.path.name)
    if named is None:
        pytest.skip("a page without a number")
    number = f"{int(named[1])}."
    shown = chapter.markup.select_one("article h1 .section-number")
    listed = chapter.markup.select_one("nav .current.active > a")
    assert shown is not None and shown.text.strip() == number
    assert listed is not None and listed.text.strip().startswith(number)
    for exercise in chapter.markup.select("article .exercise .caption-number"):
        assert f"Exercise {number}" in exercise.text


def test_a_chapter_says_how_long_it_takes_to_read(chapter):
    if not re.match(r"\d+-", chapter.path.name):
        pytest.skip("a page without a number")
    said = [each.text for each in chapter.markup.select("article p") if "Cost:" in each.text]
    assert len(said) == 1
    assert re.search(r"to download\. Reading: about \d+ minutes", said[0])


def test_nothing_is_loaded_from_another_host(page):
    tags = page.markup.select("script[src], link[href], img[src], iframe[src], source[src]")
    loaded = [tag.get("src") or tag["href"] for tag in tags if tag.get("rel") != ["canonical"]]
    assert [address for address in loaded if is_outside(address)] == []


def test_every_picture_has_words(page):
    pictures = page.markup.select("article img")
    assert [str(tag)[:100] for tag in pictures if not tag.get("alt", "").strip()] == []


def test_links_between_pages_lead_somewhere(page):
    broken = []
    for link in page.markup.select("a[href]"):
        path, fragment = urldefrag(link["href"])
        if is_outside(link["href"]):
            continue
        target = (page.path.parent / unquote(path)).resolve() if path else page.path
        if not target.exists() or (fragment and unquote(fragment) not in anchors(target)):
            broken.append(link["href"])
    assert broken == []


@cache
def anchors(path):
    markup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return {tag["id"] for tag in markup.select("[id]")}


def test_a_page_is_light(page):
    article = page.markup.find("article") or ""
    pictures = article and {tag["src"] for tag in article.select("img[src]")}
    files = [page.path.parent / unquote(name) for name in pictures if not name.startswith("data:")]
    own_bytes = len(str(article).encode()) + sum(file.stat().st_size for file in files)
    assert own_bytes <= PAGE_BUDGET


def test_no_formula_is_left_as_it_was_typed(page):
    article = BeautifulSoup(str(page.markup.find("article") or ""), "html.parser")
    for made in article.select(".math, pre, code, script, style, mjx-container"):
        made.decompose()
    assert re.findall(r".*[$\\][^ ]*.*", article.get_text()) == []


def test_no_cell_prints_warnings_or_progress_bars(page):
    markup = page.markup
    assert [str(output) for output in markup.select(".output.stderr")] == []
    assert [output.text for output in markup.select(".output") if "it/s]" in output.text] == []


def test_a_chapter_opens_its_own_notebook_in_colab(chapter):
    repository = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repository"]
    where = f"{repository['url'].removeprefix('https://github.com/')}/blob/{repository['branch']}"
    colab = f"https://colab.research.google.com/github/{where}/notebooks/{chapter.notebook.name}"
    assert [link["href"] for link in chapter.markup.select("a.edudiff-colab")] == [colab]
