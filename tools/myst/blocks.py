"""A stretch of MyST, cut into the blocks that matter here."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from myst.refusals import Refusal

FENCE = re.compile(r"(?P<indent> *)(?P<mark>`{3,}(?=[^`]*$)|~{3,}|:{3,})(?P<info>.*)")
DIRECTIVE = re.compile(r"\{(?P<name>[^}\s]+)\}\s*(?P<argument>.*)")
OPTION = re.compile(r":(?P<key>[\w-]+):\s*(?P<value>.*)")
TARGET = re.compile(r"\((?P<label>[^()\s]+)\)=\s*")
NESTED = re.compile(r"\s*(?:(?:>|[-*+]|\d+[.)])\s*)+(?:`{3,}|~{3,}|:{3,})\{")
MATH_LABEL = re.compile(r"\$\$\s*\([^)\s]+\)\s*$")
LEAVES = ("math", "code-cell", "bibliography")
"""Directives whose body is not MyST."""


@dataclass(frozen=True)
class Text:
    """Paragraphs, headings, lists: lines in which only roles and links count."""

    text: str
    line: int


@dataclass(frozen=True)
class Verbatim:
    """Lines that stay as they are: a fenced listing, or nothing in place of a comment."""

    text: str
    line: int


@dataclass(frozen=True)
class Target:
    """`(label)=`, a name for the heading that follows."""

    label: str
    line: int


@dataclass(frozen=True)
class Directive:
    """A fence with a name in braces, or a formula between double dollars (`name` is "math").

    Attributes:
        name: the word in braces.
        argument: the rest of that line.
        options: the lines `:key: value` below it.
        body: what follows, up to the closing fence, less the fence's indentation.
        line: where the fence opens.
        body_line: where the body begins.
        indent: how far the fence stands from the margin, as in a list.
    """

    name: str
    argument: str
    body: str
    line: int
    body_line: int
    options: dict[str, str] = field(default_factory=dict)
    indent: int = 0


Block: TypeAlias = Text | Verbatim | Target | Directive


def split(text: str, line: int = 1) -> Iterator[Block]:
    """Cut MyST text into blocks.

    Args:
        text: what is to be cut.
        line: the line of the page on which it begins.

    Raises:
        Refusal: if a fence is not closed, or stands where it cannot be carried over.
    """
    lines = text.split("\n")
    start = index = 0
    while index < len(lines):
        found = _special(lines, index, line)
        if found is None:
            index += 1
            continue
        yield from _words(lines[start:index], line + start)
        block, start = found
        index = start
        yield block
    yield from _words(lines[start:], line + start)


def walk(blocks: Iterable[Block]) -> Iterator[Block]:
    """These blocks and those inside them, in the order of the page."""
    for block in blocks:
        yield block
        if isinstance(block, Directive) and block.name not in LEAVES:
            yield from walk(split(block.body, block.body_line))


def _words(lines: list[str], line: int) -> Iterator[Text]:
    if any(each.strip() for each in lines):
        yield Text("\n".join(lines), line)


def _special(lines: list[str], index: int, line: int) -> tuple[Block, int] | None:
    """The block that begins at `index` and the index after it, or None within plain text."""
    text, here = lines[index], line + index
    if fence := FENCE.fullmatch(text):
        return _fenced(lines, index, here, fence)
    if text.lstrip().startswith("```"):
        raise Refusal(here, "a line that opens a fence holds no further backticks")
    if NESTED.match(text):
        raise Refusal(here, "a directive stands on a line of its own, not behind '>' or a bullet")
    if text.startswith("%"):
        return Verbatim("", here), index + 1
    if target := TARGET.fullmatch(text):
        return Target(target["label"], here), index + 1
    if text.lstrip().startswith("$$"):
        return _dollars(lines, index, here)
    return None


def _fenced(lines: list[str], index: int, here: int, fence: re.Match[str]) -> tuple[Block, int]:
    mark, indent = fence["mark"], len(fence["indent"])
    closing = re.compile(rf"\s*{mark[0]}{{{len(mark)},}}\s*")
    end = next((i for i in range(index + 1, len(lines)) if closing.fullmatch(lines[i])), None)
    if end is None:
        raise Refusal(here, f"the fence {fence[0].strip()!r} is not closed")
    found = DIRECTIVE.fullmatch(fence["info"].strip())
    if found is None and mark[0] == ":":
        raise Refusal(here, "colons fence directives only: write ':::{note}'")
    if found is None:
        return Verbatim("\n".join(lines[index : end + 1]), here), end + 1
    inside = [re.sub(rf"^ {{0,{indent}}}", "", each) for each in lines[index + 1 : end]]
    options = _options(inside, here + 1)
    body, body_line = "\n".join(inside[len(options) :]), here + 1 + len(options)
    name, argument = found["name"], found["argument"]
    return Directive(name, argument, body, here, body_line, options, indent), end + 1


def _options(lines: list[str], line: int) -> dict[str, str]:
    if lines and lines[0].startswith("---"):
        raise Refusal(line, "options are written as lines ':key: value', not between dashes")
    options: dict[str, str] = {}
    for text in lines:
        option = OPTION.fullmatch(text)
        if option is None:
            break
        if option["key"] in options:
            raise Refusal(line + len(options), f"the option {option['key']!r} stands there twice")
        options[option["key"]] = option["value"].strip()
    return options


def _dollars(lines: list[str], index: int, here: int) -> tuple[Block, int] | None:
    indent = len(lines[index]) - len(lines[index].lstrip())
    formula, end = lines[index].strip()[2:], index
    while "$$" not in formula:
        end += 1
        if end == len(lines) or not lines[end].strip():
            raise Refusal(here, "the formula that opens with '$$' is not closed")
        formula += "\n" + lines[end].strip()
    if MATH_LABEL.search(lines[end]):
        raise Refusal(here, "a numbered formula is written as the directive 'math' with ':label:'")
    if not formula.endswith("$$"):
        return None
    return Directive("math", "", formula[:-2], here, here, indent=indent), end + 1
