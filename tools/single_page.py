"""All pages of the built site on one, for printing.

Names that every page uses for itself, such as the targets of links, get the page's name before
them, and links between pages become links within the one.
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
    for tag in article.select("a[href]"):
        tag["href"] = address(str(tag["href"]), page, names)
    for tag in article.select("details"):
        tag["open"] = ""
    article["id"] = anchor(page)
    article["class"] = "bd-article edudiff-page"


def assemble(pages: list[str], site: Path) -> str:
    """The page of all pages.

    Args:
        pages: their names in order, "book/01-rendering"; all must lie in one folder, "book".
        site: the built site.

    Raises:
        ValueError: if a page is not there, or has no text.
    """
    articles, head, title = [], "", ""
    for page in pages:
        path = site / f"{page}.html"
        soup = BeautifulSoup(path.read_bytes(), "html.parser") if path.is_file() else None
        article = soup.select_one("article.bd-article") if soup else None
        if soup is None or article is None:
            raise ValueError(f"{page}: expected a page of the built site, got none; run make book")
        adopt(article, page, set(pages))
        articles.append(str(article))
        head = max(head, "".join(map(str, soup.select(NEEDED))), key=len)  # one has formulas
        title = title or (soup.title.text if soup.title else "")
    return PAGE.format(title=title, head=head, articles="\n".join(articles))
