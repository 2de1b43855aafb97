"""Concept questions: what a `quiz` holds, for the site and the notebooks alike."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt

from myst import inline
from myst.refusals import Refusal

FEWEST = 3
CHOICE = re.compile(r"- \[(?P<mark>[ xX])\] +(?P<words>.*\S)\s*")
LINK = re.compile(r"\]\(|<https?:|https?://")
VERDICTS = {True: "Right.", False: "Not quite."}
"""What feedback begins with."""


@dataclass(frozen=True)
class Choice:
    """One answer that a reader may give.

    Attributes:
        letter: "A" for the first.
        right: whether it is the answer.
        words: the answer, in one line of running text.
        feedback: what is said of it, as MyST.
        line: where it stands in the page; its feedback begins on the next line.
    """

    letter: str
    right: bool
    words: str
    feedback: str
    line: int

    @property
    def verdict(self) -> str:
        """What its feedback begins with."""
        return VERDICTS[self.right]

    @property
    def has_formula(self) -> bool:
        """Whether the answer holds mathematics."""
        return any(piece["math"] for piece in inline.PIECE.finditer(self.words))


def parse(question: str, body: str, line: int, body_line: int) -> list[Choice]:
    """The choices of a question.

    Args:
        question: what stands behind the directive's name.
        body: what stands inside it.
        line: where the directive opens in the page.
        body_line: where its body begins.

    Raises:
        Refusal: if there is no question; if there are fewer than three choices; if not exactly one
            is right; if one has no feedback, or a link in its words.
    """
    if not question.strip():
        raise Refusal(line, "a quiz needs its question, behind the name")
    choices = list(_choices(body, body_line))
    if len(choices) < FEWEST:
        raise Refusal(line, f"a quiz: expected {FEWEST} choices or more, got {len(choices)}")
    if (right := sum(choice.right for choice in choices)) != 1:
        raise Refusal(line, f"a quiz: expected one right choice, '- [x]', got {right}")
    return choices


def summary(choice: Choice) -> str:
    """What is always seen of a choice in a notebook: an HTML element.

    Notebook programs read no Markdown in the lines of an element, so it is written as HTML. Some
    read no formulas there either; words with a formula stand between blank lines, as a paragraph
    below their letter.
    """
    words = inline.rewrite(choice.words, choice.line, _no_role)
    if choice.has_formula:
        return f"<summary>{choice.letter}.\n\n{words}\n\n</summary>"
    return f"<summary>{choice.letter}. {MarkdownIt('commonmark').renderInline(words)}</summary>"


def _choices(body: str, body_line: int) -> Iterator[Choice]:
    lines = body.split("\n")
    starts = [index for index, text in enumerate(lines) if CHOICE.fullmatch(text)]
    for index, text in enumerate(lines[: starts[0]] if starts else lines):
        if text.strip():
            raise Refusal(body_line + index, "a quiz holds choices, '- [x] …' or '- [ ] …'")
    for number, (start, end) in enumerate(pairwise([*starts, len(lines)])):
        found = CHOICE.fullmatch(lines[start])
        assert found is not None
        feedback = "\n".join(_dedented(lines[start + 1 : end], body_line + start + 1))
        line, words = body_line + start, found["words"]
        if not feedback.strip():
            raise Refusal(line, "a choice needs feedback, indented below it")
        if inline.roles(words) or LINK.search(words):
            raise Refusal(line, "a choice holds no link or role: its feedback may")
        yield Choice(chr(ord("A") + number), found["mark"] != " ", words, feedback, line)


def _dedented(lines: list[str], line: int) -> Iterator[str]:
    for index, text in enumerate(lines):
        if text.strip() and not text.startswith("  "):
            raise Refusal(line + index, "feedback is indented by two spaces below its choice")
        yield text[2:]


def _no_role(name: str, content: str, line: int) -> str:
    raise Refusal(line, f"a choice holds no role, got {name!r}")
