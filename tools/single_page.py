"""All pages of the built site on one, for printing.

Names that every page uses for itself, such as the targets of links, get the page's name before
them, and links between pages become links within the one. What is said of a question's choices
would give the answer away if it stood below them: it comes last, on pages of its own.
"""

import posixpath
from pathlib import Path

from bs4 import BeautifulSoup, Tag

NAME = "book/all.html"
"""Where the page would lie in the site: pictures and styles are found from there."""

PAGE = """<!DOCTYPE html>
<html lang="en-GB" data-theme="light">
<head><meta charset="utf-8"><title>{title}</title>{head}</head>
<body><main class="bd-main"><div class="bd-content"><div class="bd-article-container">
{articles}
</div></div></main></body></html>
"""
NEEDED = 'link[rel="stylesheet"], script[src*="mathjax"], script:-soup-contains("window.MathJax =")'
"""What a page's head has for its looks and its formulas."""


ANSWERS = """<article class="bd-article edudiff-page" id="answers-to-questions">
<h1>Answers to the questions</h1>
{parts}
</article>"""


def anchor(page: str, name: str = "") -> str:
    """What a page, or a place on it, is called on the page of all pages."""
    return f"{Path(page).stem}--{name}" if name else Path(page).stem


def address(link: str, page: str, names: set[str]) -> str:
    """A link as it must read on the page of all pages.

    Args:
        link: what it says on its own page.
        page: that page, "book/01-rendering".
        names: all pages that are on the one.
    """
    path, _, place = link.partition("#")
    if ":" in path or path.startswith("//"):
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    target = target.removesuffix(".html")
    return f"#{anchor(target, place)}" if target in names else link


def adopt(article: Tag, page: str, names: set[str]) -> None:
    """Make one page's text fit among the others: its names, its links, nothing folded."""
    for tag in article.select("[id]"):
        tag["id"] = anchor(page, str(tag["id"]))
    for tag in article.select("[aria-labelledby]"):
        tag["aria-labelledby"] = anchor(page, str(tag["aria-labelledby"]))
    for tag in article.select("a[href]"):
        tag["href"] = address(str(tag["href"]), page, names)
    for tag in article.select("details"):
        tag["open"] = ""
    article["id"] = anchor(page)
    article["class"] = "bd-article edudiff-page"


def take_answers(article: Tag) -> str:
    """Leave questions with their choices alone, and give back what is said of each choice.

    Args:
        article: a page's text, after `adopt`.

    Returns:
        A heading, the page's own, and for each question a link to it and what is said; nothing if
        the page has no questions.
    """
    new = BeautifulSoup("", "html.parser").new_tag
    found = []
    for question in article.select(".edudiff-quiz"):
        words = question.select_one("p[id]")
        label = words.select_one("strong") if words else None
        if words is None or label is None:
            raise ValueError("a question: expected its number and an anchor, got none")
        name = label.get_text().strip().rstrip(".")
        found.append(f'<h3><a href="#{words["id"]}">{name}</a></h3>')
        for choice in question.select("details"):
            summary = choice.select_one("summary")
            if summary is None:
                raise ValueError(f"{name}: expected a summary in each choice, got none")
            letter = summary.select_one(".edudiff-letter")
            said = new("div", attrs={"class": "edudiff-said"})
            said.append(new("span", string=letter.get_text() if letter else ""))
            body = new("div")
            body.extend([each.extract() for each in summary.find_next_siblings()])
            said.append(body)
            found.append(str(said))
            summary.unwrap()
            choice.name, choice.attrs = "div", {"class": "edudiff-choice"}
    title = article.select_one("h1")
    for link in title.select(".headerlink") if title and found else []:
        link.decompose()
    return f"<h2>{title.get_text().strip() if title else ''}</h2>" + "".join(found) if found else ""


def assemble(pages: list[str], site: Path) -> str:
    """The page of all pages.

    Args:
        pages: their names in order, "book/01-rendering"; all must lie in one folder, "book".
        site: the built site.

    Raises:
        ValueError: if a page is not there, has no text, or a question without a number.
    """
    articles, answers, head, title = [], [], "", ""
    for page in pages:
        path = site / f"{page}.html"
        soup = BeautifulSoup(path.read_bytes(), "html.parser") if path.is_file() else None
        article = soup.select_one("article.bd-article") if soup else None
        if soup is None or article is None:
            raise ValueError(f"{page}: expected a page of the built site, got none; run make book")
        adopt(article, page, set(pages))
        answers.append(take_answers(article))
        articles.append(str(article))
        head = max(head, "".join(map(str, soup.select(NEEDED))), key=len)  # one has formulas
        title = title or (soup.title.text if soup.title else "")
    if parts := "\n".join(filter(None, answers)):
        articles.append(ANSWERS.format(parts=parts))
    return PAGE.format(title=title, head=head, articles="\n".join(articles))
