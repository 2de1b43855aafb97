"""Many pages on one: their names and links."""

import pytest
from bs4 import BeautifulSoup

import single_page
from single_page import address, assemble

NAMES = {"book/01-a", "book/02-b"}
HEAD = '<title>A</title><link rel="stylesheet" href="../_static/s.css"><script>theme()</script>'
MATH = '<script>window.MathJax = {}</script><script src="../_static/mathjax/tex.js"></script>'


QUESTION = """
<div class="edudiff-quiz" role="group" aria-labelledby="question-1-1">
<p id="question-1-1"><strong>Question 1.1. </strong>Which?</p>
<details class="edudiff-wrong"><summary><span class="edudiff-letter">A. </span>this</summary>
<p><strong>Not quite.</strong> It is <em>not</em>.</p><p>Never.</p></details>
<details class="edudiff-right"><summary><span class="edudiff-letter">B. </span>that</summary>
<p><strong>Right.</strong> See <a href="02-b.html#top">there</a>.</p></details>
</div><details><summary>Solution</summary><p>solved</p></details>"""


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


@pytest.fixture
def asked(site):
    """The two pages on one, the first with a question."""
    body = f'<article class="bd-article"><h1>T<a class="headerlink">#</a></h1>{QUESTION}</article>'
    text = f"<html><head>{HEAD}</head><body>{body}</body></html>"
    (site / "book" / "01-a.html").write_text(text)
    return BeautifulSoup(assemble(["book/01-a", "book/02-b"], site), "html.parser")


def test_a_question_keeps_its_choices_and_nothing_tells_which_is_right(asked):
    question = asked.select_one(".edudiff-quiz")
    assert [tag.get_text() for tag in question.select(".edudiff-choice")] == [
        "A. this\n",
        "B. that\n",
    ]
    assert all(tag.attrs == {"class": ["edudiff-choice"]} for tag in question.select("div"))
    for word in ("right", "wrong", "Right", "Not quite"):
        assert word not in str(question)


def test_what_is_said_of_choices_comes_after_all_pages_under_the_number_of_the_question(asked):
    *_, last = asked.select("article")
    assert last["id"] == "answers-to-questions" and len(asked.select("article")) == 3
    assert [tag.get_text() for tag in last.select("h1, h2, h3")] == [
        "Answers to the questions",
        "T",
        "Question 1.1",
    ]
    first, second = (" ".join(tag.get_text(" ").split()) for tag in last.select(".edudiff-said"))
    assert first == "A. Not quite. It is not . Never."
    assert second == "B. Right. See there ."


def test_links_to_questions_and_in_answers_lead_somewhere(asked):
    ids = {tag["id"] for tag in asked.select("[id]")}
    links = [tag["href"] for tag in asked.select("#answers-to-questions a")]
    assert links == ["#01-a--question-1-1", "#02-b--top"]
    assert {link[1:] for link in links} <= ids
    assert asked.select_one("[role=group]")["aria-labelledby"] in ids


def test_solutions_stay_open_below_their_exercises(asked):
    assert asked.select_one("[id='01-a'] > details[open] > p").get_text() == "solved"


def test_a_book_without_questions_has_no_answers(site):
    assert "Answers" not in assemble(["book/01-a", "book/02-b"], site)


def test_the_head_is_that_of_a_page_with_formulas(site):
    soup = BeautifulSoup(assemble(["book/01-a", "book/02-b"], site), "html.parser")
    assert len(soup.select("head > link")) == 1 and len(soup.select("head > script")) == 2


def test_pictures_are_found_from_where_the_page_would_lie(site):
    assert single_page.NAME.startswith("book/")
    assert 'src="../_static/x.png"' in assemble(["book/02-b"], site)


def test_a_page_that_is_not_there_is_refused(site, refusal):
    with refusal("book/03-c: expected a page of the built site, got none; run make book"):
        assemble(["book/03-c"], site)
