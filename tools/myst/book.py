"""The whole book: its pages, what can be referred to in them, and where it is published."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from myst import citations, inline, pages
from myst.blocks import Block, Directive, Target, Text
from myst.citations import References
from myst.pages import Page
from myst.refusals import Problems, Refusal, noted, unknown

HEADING = re.compile(r"\s*#+ +(.+?)\s*(?:\n|$)")
CHAPTER = re.compile(r"0*(\d+)-")


@dataclass(frozen=True)
class Label:
    """Something that can be referred to.

    Attributes:
        kind: "equation", "exercise", "figure" or "section".
        page: where it stands.
        number: of equations "3", the third of the page; of exercises "4.3", with the chapter's.
        title: what a reference to it says, or "" where that must be said by hand.
    """

    kind: str
    page: Page
    number: str = ""
    title: str = ""


@dataclass(frozen=True)
class Site:
    """Where the book is published: "org/repo", its address, the release tag, the site."""

    repository: str
    url: str
    tag: str
    address: str


@dataclass(frozen=True)
class Book:
    """Everything that one page must know of the others."""

    root: Path
    site: Site
    pages: dict[str, Page]
    labels: dict[str, Label]
    references: References

    def label(self, kind: str, name: str, line: int) -> Label:
        """Look a label up; `kind` is "equation", "exercise" or "label" for any but equations.

        Raises:
            Refusal: if there is no such label; the message names the nearest.
        """
        known = {
            each: label
            for each, label in self.labels.items()
            if kind == label.kind or (kind == "label" and label.kind != "equation")
        }
        if name not in known:
            raise unknown(line, kind, name, known)
        return known[name]


def read(root: Path) -> Book:
    """Read the configuration, the references and every page of `root`/book.

    Raises:
        Problems: each beginning with the file and the line.
    """
    problems: list[str] = []
    all_pages: dict[str, Page] = {}
    labels: dict[str, Label] = {}
    with noted(problems, "_config.yml"):
        site = _site(root / "_config.yml")
    with noted(problems, "book/references.bib"):
        references = citations.load(root / "book" / "references.bib")
    for path in sorted((root / "book").glob("*.md")):
        with noted(problems, f"book/{path.name}"):
            page = all_pages[path.stem] = pages.read(path, root)
            _collect(page, labels)
    if problems:
        raise Problems("\n".join(problems))
    return Book(root, site, all_pages, labels, references)


def _collect(page: Page, labels: dict[str, Label]) -> None:
    for name, line, label in _labels(page):
        if name in labels:
            other = labels[name].page.path.as_posix()
            raise Refusal(line, f"the label {name!r} stands in {other} already")
        labels[name] = label


def _site(path: Path) -> Site:
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    repository, html = config.get("repository", {}), config.get("html", {})
    values = {
        "repository.url": repository.get("url"),
        "repository.branch": repository.get("branch"),
        "html.baseurl": html.get("baseurl"),
    }
    for key, value in values.items():
        if not value:
            raise Refusal(1, f"expected {key}, got nothing")
    url = values["repository.url"].rstrip("/").removesuffix(".git")
    name = "/".join(url.split("/")[-2:])
    return Site(name, url, values["repository.branch"], values["html.baseurl"].rstrip("/"))


def _labels(page: Page) -> Iterator[tuple[str, int, Label]]:
    """Every label of a page, with its line."""
    equations = exercises = 0
    blocks = page.blocks()
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if isinstance(block, Target):
            yield block.label, block.line, Label("section", page, title=_heading(following))
        elif not isinstance(block, Directive):
            continue
        elif block.name == "math" and "label" in block.options:
            equations += 1
            yield block.options["label"], block.line, Label("equation", page, str(equations))
        elif block.name == "exercise":
            exercises += 1
            if not block.options.get("label"):
                raise Refusal(block.line, "an exercise needs a ':label:'")
            number = numbered(page.name, exercises)
            title = _exercise(number, block.argument)
            yield block.options["label"], block.line, Label("exercise", page, number, title)
        elif block.name == "figure" and "name" in block.options:
            title = _plain(" ".join(block.body.split()))
            yield block.options["name"], block.line, Label("figure", page, title=title)


def numbered(page: str, count: int) -> str:
    """The number of an exercise or question: the chapter's, if the page has one, then its own."""
    chapter = CHAPTER.match(page)
    return f"{chapter[1]}.{count}" if chapter else str(count)


def _exercise(number: str, title: str) -> str:
    return f"Exercise {number} ({title})" if title else f"Exercise {number}"


def _heading(block: Block | None) -> str:
    found = HEADING.match(block.text) if isinstance(block, Text) else None
    return _plain(found[1]) if found else ""


def _plain(title: str) -> str:
    """A title as it is, or "" if it holds roles: then a reference must bring its own words."""
    return "" if inline.roles(title) else title
