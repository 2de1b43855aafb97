"""What each directive becomes in a notebook."""

import os
import re
import textwrap
from collections.abc import Callable, Iterable
from html import escape

from myst import blocks, citations, inline, quizzes, roles
from myst.blocks import Block, Directive, Target, Text, Verbatim
from myst.book import Book, numbered
from myst.pages import Page
from myst.refusals import Refusal, unknown

LOOKS = ("class", "name")
OPTIONS = {
    "math": ("label",),
    "note": LOOKS,
    "tip": LOOKS,
    "warning": LOOKS,
    "important": LOOKS,
    "admonition": LOOKS,
    "dropdown": (*LOOKS, "open"),
    "figure": (*LOOKS, "alt", "width", "height", "scale", "align", "figclass", "figwidth"),
    "quiz": (),
    "exercise": ("label", "class"),
    "solution": ("label", "class"),
    "solution-start": ("label", "class"),
    "solution-end": (),
    "bibliography": ("filter", "style"),
}
"""The directives there are, and what may be said of each."""

TOP_LEVEL = ("exercise", "solution", "solution-start", "solution-end")


def rewrite(text: str, line: int, book: Book, page: Page) -> str:
    """Make plain Markdown of MyST, directives within directives included.

    Args:
        text: what stands inside a directive.
        line: the line of the page on which it begins.
        book: for references to other pages.
        page: the page it stands on.

    Raises:
        Refusal: for whatever would not survive.
    """
    return join(render(block, book, page) for block in blocks.split(text, line))


def join(parts: Iterable[str]) -> str:
    """Put pieces of Markdown below one another, a blank line between."""
    return "\n\n".join(filter(None, (part.strip("\n") for part in parts)))


def render(block: Block, book: Book, page: Page) -> str:
    """Make plain Markdown of one block."""
    if isinstance(block, Verbatim):
        return block.text
    if isinstance(block, Target):
        return f'<a id="{block.label}"></a>'
    if isinstance(block, Text):
        return inline.rewrite(block.text, block.line, roles.role(book, page))
    require_known(block)
    if block.name in TOP_LEVEL:
        raise Refusal(block.line, f"{block.name!r} stands at the margin, in no other directive")
    return textwrap.indent(DIRECTIVES[block.name](block, book, page), " " * block.indent)


def require_known(block: Directive) -> None:
    """Refuse a directive that does not exist, or an option that it does not have.

    Raises:
        Refusal: naming the nearest.
    """
    if block.name == "code-cell":
        raise Refusal(block.line, "a code cell stands at the margin, between backticks")
    if block.name not in OPTIONS:
        raise unknown(block.line, "directive", block.name, [*OPTIONS, "code-cell"])
    for index, option in enumerate(block.options):
        if option not in OPTIONS[block.name]:
            line = block.line + 1 + index
            raise unknown(line, f"option of {block.name!r}", option, OPTIONS[block.name])


def titled(block: Directive, book: Book, page: Page) -> str:
    """A directive's argument, as Markdown."""
    return inline.rewrite(block.argument, block.line, roles.role(book, page))


def _math(block: Directive, book: Book, page: Page) -> str:
    if not block.body.strip() or re.search(r"\n\s*\n", block.body.strip()):
        raise Refusal(block.line, "a formula is not empty and holds no blank line")
    formula = inline.flat(block.body)
    if r"\\" in formula:
        formula = rf"\begin{{aligned}} {formula} \end{{aligned}}"
    if "label" in block.options:
        number = book.label("equation", block.options["label"], block.line).number
        formula += rf" \tag{{{number}}}"
    return f"$$ {formula} $$"


def _admonition(block: Directive, book: Book, page: Page) -> str:
    own_title = block.name == "admonition"
    if own_title and not block.argument:
        raise Refusal(block.line, "an admonition needs a title")
    title = titled(block, book, page)
    heading = f"**{title}**" if own_title else f"**{block.name.capitalize()}**"
    body = rewrite(block.body, block.body_line, book, page)
    quoted = join([heading, "" if own_title else title, body])
    return _anchor(block) + textwrap.indent(quoted, "> ", lambda _: True).replace("> \n", ">\n")


def _dropdown(block: Directive, book: Book, page: Page) -> str:
    title = escape(titled(block, book, page) or "More", quote=False)
    body = rewrite(block.body, block.body_line, book, page)
    opening = "<details open>" if "open" in block.options else "<details>"
    return _anchor(block) + f"{opening}\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _figure(block: Directive, book: Book, page: Page) -> str:
    folder = book.root / page.path.parent
    if not (folder / block.argument).is_file():
        raise Refusal(block.line, f"there is no picture {block.argument!r} beside the page")
    if not block.options.get("alt"):
        raise Refusal(block.line, "a figure needs an ':alt:' text")
    where = os.path.relpath(folder / block.argument, book.root / "notebooks").replace(os.sep, "/")
    alt = re.sub(r"([\[\]\\])", r"\\\1", block.options["alt"])
    caption = rewrite(block.body, block.body_line, book, page)
    return _anchor(block) + join([f"![{alt}]({where})", caption])


def _bibliography(block: Directive, book: Book, page: Page) -> str:
    contents = [
        content
        for each in page.blocks()
        if isinstance(each, Text)
        for name, content in inline.roles(each.text)
        if name.startswith("cite:")
    ]
    keys = [key for each in contents for key in roles.cited(book, each, block.line)]
    return citations.listed({key: book.references[key] for key in keys})


def _quiz(block: Directive, book: Book, page: Page) -> str:
    choices = quizzes.parse(block.argument, block.body, block.line, block.body_line)
    lines = [b.line for b in page.blocks() if isinstance(b, Directive) and b.name == "quiz"]
    number = numbered(page.name, 1 + lines.index(block.line))
    parts = [f"**Question {number}.** {titled(block, book, page)}"]
    for choice in choices:
        words = f"**{choice.verdict}** {choice.feedback.strip()}"
        feedback = rewrite(words, choice.line + 1, book, page)
        parts += [f"<details>\n{quizzes.summary(choice)}", feedback, "</details>"]
    return join(parts)


def _anchor(block: Directive) -> str:
    return f'<a id="{block.options["name"]}"></a>\n\n' if "name" in block.options else ""


DIRECTIVES: dict[str, Callable[[Directive, Book, Page], str]] = {
    "math": _math,
    **dict.fromkeys(("note", "tip", "warning", "important", "admonition"), _admonition),
    "dropdown": _dropdown,
    "figure": _figure,
    "quiz": _quiz,
    "bibliography": _bibliography,
}
