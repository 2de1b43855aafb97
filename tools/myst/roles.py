"""What each role becomes in a notebook."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from myst import citations
from myst.book import Book
from myst.inline import Role
from myst.pages import Page
from myst.refusals import Refusal, unknown

EXPLICIT = re.compile(r"(?P<words>.+?)\s*<(?P<target>[^<>]+)>", re.DOTALL)


def role(book: Book, page: Page) -> Role:
    """The roles as they read on `page`."""

    def resolve(name: str, content: str, line: int) -> str:
        if name not in ROLES:
            raise unknown(line, "role", name, ROLES)
        return ROLES[name](book, page, content, line)

    return resolve


def address(book: Book, page: Page, anchor: str = "") -> str:
    """Where a notebook finds a page: in the notebook beside it, else on the site."""
    if page.has_notebook:
        return f"{page.name}.ipynb" + (f"#{anchor}" if anchor else "")
    where = page.path.with_suffix(".html").as_posix()
    return f"{book.site.address}/{where}" + (f"#{anchor}" if anchor else "")


def _split(content: str) -> tuple[str, str]:
    """`words <target>` or `target` → (words or "", target)."""
    found = EXPLICIT.fullmatch(content)
    return (found["words"], found["target"].strip()) if found else ("", content)


def _equation(book: Book, page: Page, content: str, line: int) -> str:
    label = book.label("equation", content, line)
    if label.page == page:
        return f"({label.number})"
    return f"[({label.number}) in “{label.page.title}”]({address(book, label.page)})"


def _page(book: Book, page: Page, content: str, line: int) -> str:
    words, target = _split(content)
    name = PurePosixPath(target).name
    if name not in book.pages:
        raise unknown(line, "page", target, book.pages)
    other = book.pages[name]
    return f"[{words or other.title}]({address(book, other)})"


def _label(book: Book, page: Page, content: str, line: int) -> str:
    words, target = _split(content)
    label = book.label("label", target, line)
    words = words or label.title
    if not words:
        raise Refusal(line, f"{target!r} has no title of its own: write {{ref}}`words <{target}>`")
    if label.page != page:
        return f"[{words}]({address(book, label.page, target)})"
    return words if label.kind == "exercise" else f"[{words}](#{target})"


def _citation(style: Callable[..., str]) -> Callable[[Book, Page, str, int], str]:
    def cite(book: Book, page: Page, content: str, line: int) -> str:
        return style([book.references[key] for key in cited(book, content, line)])

    return cite


def cited(book: Book, content: str, line: int) -> list[str]:
    """The keys in a citation.

    Raises:
        Refusal: for a key that `references.bib` does not hold.
    """
    keys = [key.strip() for key in content.split(",")]
    for key in keys:
        if key not in book.references:
            raise unknown(line, "citation key", key, book.references)
    return keys


ROLES: dict[str, Callable[[Book, Page, str, int], str]] = {
    "eq": _equation,
    "doc": _page,
    "ref": _label,
    "cite:t": _citation(citations.textual),
    "cite:p": _citation(citations.parenthetical),
}
