"""Roles and links within running text."""

import re
from collections.abc import Callable

from myst.refusals import Refusal

ANY = r"(?:(?!\n[ \t]*\n).)+?"
PIECE = re.compile(
    rf"""
      (?P<escape>\\.)
    | \{{(?P<role>[\w:.+-]+)\}}(?P<ticks>`+)(?P<content>{ANY})(?P=ticks)(?!`)
    | (?P<code>(?<!`)(?P<mark>`+)(?!`){ANY}(?<!`)(?P=mark)(?!`))
    | (?P<math>\$\${ANY}\$\$|\$(?![\s$])(?:\\.|(?!\n[ \t]*\n)[^$\\])+?(?<!\s)\$(?!\d))
    """,
    re.VERBOSE | re.DOTALL,
)
"""What a role, a link or a refusal must not be looked for in, and the roles themselves."""

REFUSED = {
    r"\{[\w:.+-]+\}`": "the role that begins here is not closed",
    r"\]\((?!https?://|mailto:)": "a link within the book is written with {doc} or {ref}, "
    "a picture with the directive 'figure'",
    r"\[\^[^\]\s]+\]": "a footnote is not shown by Jupyter: say it in a sentence",
    r"\{\{[^{}]+\}\}": "a substitution is not shown by Jupyter: write the words",
}

Role = Callable[[str, str, int], str]
"""(name, content, line) → Markdown."""


def rewrite(text: str, line: int, role: Role) -> str:
    """Replace the roles in running text; code stays as it is, and formulas but for their breaks.

    A formula is laid on one line, as a quotation would put its marks inside it otherwise.

    Args:
        text: paragraphs without directives.
        line: the line of the page on which it begins.
        role: what each role becomes.

    Raises:
        Refusal: for what a plain notebook would show as it is typed.
    """
    _refuse(PIECE.sub(_blank, text), line)

    def replace(piece: re.Match[str]) -> str:
        if piece["role"]:
            here = line + text.count("\n", 0, piece.start())
            return role(piece["role"], content(piece), here)
        return flat(piece[0]) if piece["math"] else piece[0]

    return PIECE.sub(replace, text)


def roles(text: str) -> list[tuple[str, str]]:
    """The name and the content of each role in running text."""
    return [(piece["role"], content(piece)) for piece in PIECE.finditer(text) if piece["role"]]


def content(piece: re.Match[str]) -> str:
    """What stands between a role's ticks, on one line."""
    return " ".join(piece["content"].split())


def flat(formula: str) -> str:
    """A formula on one line, without TeX comments."""
    return " ".join(re.sub(r"(?<!\\)%.*", "", formula).split())


def words(text: str) -> str:
    """Running text without its code and formulas, for counting."""
    return PIECE.sub(lambda piece: piece["content"] or " ", text)


def _blank(piece: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", piece[0])


def _refuse(plain: str, line: int) -> None:
    for pattern, message in REFUSED.items():
        if found := re.search(pattern, plain):
            raise Refusal(line + plain.count("\n", 0, found.start()), message)
