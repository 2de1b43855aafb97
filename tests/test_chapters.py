"""Every chapter keeps the form that CONTRIBUTING.md promises."""

import ast
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest

from myst import blocks, inline, pages, quizzes
from myst.blocks import Block, Directive, Text
from myst.pages import Cell

ROOT = Path(__file__).resolve().parents[1]
FRONT_MATTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# """
COST = re.compile(
    r"^\*\*Cost:\*\* (\d+) s on two CPU cores, [\d.,]+ [MG]B of memory, "
    r"(nothing|[\d.,]+ [MG]B) to download\.$",
    re.MULTILINE,
)
SHOWING = {"print", "display", "show", "images", "frames", "explore"}


@dataclass(frozen=True)
class Chapter:
    """A chapter: what a reader sees at once, and what is folded away.

    Attributes:
        slug: the name without its number, as in `forward-diffusion`.
        text: the whole file.
        opened: blocks and code cells outside solutions, in order.
        code: every code cell, those of solutions too.
        solved: the labels of the exercises that have a solution.
    """

    slug: str
    text: str
    opened: list[Block | Cell]
    code: list[Cell]
    solved: list[str]

    @property
    def open_code(self) -> list[Cell]:
        return [each for each in self.opened if isinstance(each, Cell)]

    @property
    def prose(self) -> list[Text]:
        """What is read in one go: questions unfold like solutions, and count as little."""
        read = [each for each in self.open_blocks if each not in self.questions]
        return [each for each in blocks.walk(read) if isinstance(each, Text)]

    @property
    def questions(self) -> list[Directive]:
        return [each for each in self.open_blocks if getattr(each, "name", "") == "quiz"]

    @property
    def open_blocks(self) -> list[Block]:
        return [each for each in self.opened if not isinstance(each, Cell)]


def read(path: Path) -> Chapter:
    page = pages.read(path, path.parents[1])
    code = [cell for cell in page.cells if cell.kind == "code"]
    opened, solved, folded = [], [], False
    for cell in page.cells:
        for each in cell.blocks() if cell.kind == "markdown" else [cell]:
            name = each.name if isinstance(each, Directive) else ""
            if name in ("solution", "solution-start"):
                solved.append(each.argument)
            if name in ("solution-start", "solution-end"):
                folded = name == "solution-start"
            elif name != "solution" and not folded:
                opened.append(each)
    return Chapter(page.name[3:], path.read_text(encoding="utf-8"), opened, code, solved)


def chapters() -> list[Path]:
    return sorted((ROOT / "book").glob("[0-9][0-9]-*.md"))


@pytest.fixture(scope="module", params=chapters(), ids=lambda path: path.stem)
def chapter(request):
    return read(request.param)


def length(cell: Cell) -> int:
    return len(cell.source.splitlines())


def nodes(chapter: Chapter) -> list[ast.AST]:
    return [node for cell in chapter.code for node in ast.walk(ast.parse(cell.source))]


def strings(chapter: Chapter) -> list[str]:
    constants = (node.value for node in nodes(chapter) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def shows_something(cell: Cell) -> bool:
    """Whether a cell ends with a value, or prints, displays or asserts."""
    tree = ast.parse(cell.source)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        return True
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and called(node)[1] in SHOWING)
        for node in ast.walk(tree)
    )


def called(call: ast.Call) -> tuple[str, str]:
    """`display.show(...)` → ("display", "show"); `show(...)` → ("", "show")."""
    function = call.func
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else "?"
        return owner, function.attr
    return "", function.id if isinstance(function, ast.Name) else "?"


def describes(call: ast.Call, name: str) -> bool:
    """Whether a call that shows pictures also says what they show."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name == "frames":
        return "alts" in given or len(call.args) > 1
    alt = given.get("alt")
    return alt is not None and not (isinstance(alt, ast.Constant) and not str(alt.value).strip())


def test_it_begins_with_the_common_front_matter_and_a_title(chapter):
    assert chapter.text[: len(FRONT_MATTER)] == FRONT_MATTER


def test_its_cost_is_said_below_the_title_and_is_at_most_90_seconds(chapter):
    below = chapter.text.removeprefix(FRONT_MATTER).split("\n\n")[1]
    found = COST.fullmatch(below)
    assert found, below
    assert int(found[1]) <= 90


def test_it_has_20_to_45_code_cells(chapter):
    number = len(chapter.open_code)
    assert 20 <= number <= 45


def test_half_of_its_code_cells_have_at_most_7_lines(chapter):
    lengths = sorted(map(length, chapter.open_code))
    assert statistics.median(lengths) <= 7


def test_no_code_cell_has_more_than_30_lines(chapter):
    assert {cell.line: length(cell) for cell in chapter.code if length(cell) > 30} == {}


def test_no_line_of_code_is_wider_than_79_characters(chapter):
    lines = (line for cell in chapter.code for line in cell.source.splitlines())
    assert [line for line in lines if len(line) > 79] == []


def test_its_first_code_cell_has_at_most_10_lines(chapter):
    lines = length(chapter.code[0])
    assert lines <= 10


def test_code_cells_come_at_most_two_at_a_time(chapter):
    run, too_many = 0, []
    for each in chapter.opened:
        if isinstance(each, Cell):
            run += 1
            too_many += [each.line] if run > 2 else []
        elif isinstance(each, Directive) or (
            isinstance(each, Text) and inline.words(each.text).strip()
        ):
            run = 0
    assert too_many == []


def test_two_thirds_of_its_code_cells_show_something(chapter):
    silent = [cell.line for cell in chapter.open_code if not shows_something(cell)]
    number = len(chapter.open_code)
    assert 3 * len(silent) <= number, silent


def test_it_has_1200_to_3000_words(chapter):
    text = " ".join(inline.words(each.text) for each in chapter.prose)
    number = len(re.findall(r"[^\W\d_][\w’'-]*", text))
    assert 1200 <= number <= 3000


def test_it_has_three_questions_or_more_between_its_last_section_and_the_exercises(chapter):
    *_, before, _, _ = re.split(r"^## ", chapter.text, flags=re.MULTILINE)
    assert before.split("\n")[0] == "Questions"
    assert len(chapter.questions) >= 3
    assert before.count("{quiz}") == chapter.text.count("{quiz}") == len(chapter.questions)


def test_its_questions_can_be_read(chapter):
    for each in chapter.questions:
        quizzes.parse(each.argument, each.body, each.line, each.body_line)


def test_the_right_answer_is_not_always_in_the_same_place(chapter):
    parsed = [quizzes.parse(q.argument, q.body, q.line, q.body_line) for q in chapter.questions]
    letters = {choice.letter for choices in parsed for choice in choices if choice.right}
    assert len(letters) > 1


def test_it_has_4_to_6_exercises_labelled_by_chapter_and_number(chapter):
    exercises = [each for each in chapter.open_blocks if isinstance(each, Directive)]
    labels = [each.options.get("label") for each in exercises if each.name == "exercise"]
    assert 4 <= len(labels) <= 6
    assert labels == [f"{chapter.slug}-{n + 1}" for n in range(len(labels))]


def test_each_exercise_has_one_solution(chapter):
    exercises = [each for each in chapter.open_blocks if isinstance(each, Directive)]
    labels = [each.options["label"] for each in exercises if each.name == "exercise"]
    assert chapter.solved == labels


def test_its_last_section_is_its_sources_and_cites_them(chapter):
    *_, last = re.split(r"^## ", chapter.text, flags=re.MULTILINE)
    assert last.split("\n")[0] == "Sources"
    assert "{cite:t}`" in last


def test_every_code_cell_is_plain_python(chapter):
    for cell in chapter.code:
        ast.parse(cell.source, filename=f"line {cell.line}")


def test_every_picture_is_described(chapter):
    calls = [(called(node), node) for node in nodes(chapter) if isinstance(node, ast.Call)]
    pictures = [
        (name, call)
        for (owner, name), call in calls
        if owner in ("", "display") and name in ("show", "images", "frames")
    ]
    assert [ast.unparse(call) for name, call in pictures if not describes(call, name)] == []


def test_pictures_are_shown_by_the_package_not_by_pyplot(chapter):
    calls = [called(node) for node in nodes(chapter) if isinstance(node, ast.Call)]
    assert not {("plt", "show"), ("pyplot", "show")} & set(calls)


def test_it_runs_without_a_gpu(chapter):
    calls = {called(node)[1] for node in nodes(chapter) if isinstance(node, ast.Call)}
    assert "cuda" not in calls
    assert [each for each in strings(chapter) if re.match(r"cuda\b", each)] == []


def test_it_names_no_absolute_path(chapter):
    pattern = r"(/\w|~/|[A-Za-z]:[\\/])"
    assert [each for each in strings(chapter) if re.match(pattern, each)] == []
