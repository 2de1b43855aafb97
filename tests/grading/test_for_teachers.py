"""The page for teachers says what holds."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import chapter_times
from edudiff import cli
from edudiff.exercises import EXERCISES, handout, variants
from edudiff.exercises.variations import VARIATIONS
from edudiff.grading.classroom import choose_exercises
from edudiff.grading.limits import Limits
from myst import pages

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "for-teachers.md").read_text(encoding="utf-8")

PROJECTED = re.findall(r"(?m)^\| (\d+) \| (.+) \| .+\? \|$", PAGE)


def test_the_command_on_the_page_can_be_read():
    command = re.search(r"(?m)^edudiff (grade .+)$", PAGE)[1]
    options = cli.make_parser().parse_args(command.split())
    assert choose_exercises(EXERCISES, options.exercises)


def test_the_command_that_makes_a_variant_can_be_read():
    command = re.search(r"(?m)^edudiff (exercises .+)$", PAGE)[1]
    options = cli.make_parser().parse_args(command.split())
    graded = re.search(r"`edudiff (grade .+ --variant .+)`", PAGE)[1]
    assert cli.make_parser().parse_args(graded.split()).variant == options.seed


def test_the_table_of_variations_is_that_of_the_code():
    rows = re.findall(r"(?m)^\| `(.+)` \| (.+) \| ([\d.]+) to ([\d.]+) \|$", PAGE)
    assert rows == [
        (name, each.says.format(k="k"), f"{min(each.numbers):g}", f"{max(each.numbers):g}")
        for name, each in VARIATIONS.items()
    ]


def test_numbers_come_back_after_as_many_years_as_the_page_says():
    years = int(re.search(r"In (\d+) years that follow each other", PAGE)[1])
    assert years == min(len(each.numbers) for each in VARIATIONS.values())


def test_reading_is_counted_as_the_page_says():
    found = re.search(r"(\d+) words of prose a minute, (\d+) seconds .+ and (\d+) for a\nfor", PAGE)
    assert list(map(int, found.groups())) == [
        chapter_times.WORDS_PER_MINUTE,
        chapter_times.SECONDS_PER_LINE,
        chapter_times.SECONDS_PER_FORMULA,
    ]


def test_the_words_of_a_chapter_are_as_many_as_the_page_says():
    least, most = (
        int(number.replace(",", ""))
        for number in re.search(r"([\d,]+) to ([\d,]+) words of prose", PAGE).groups()
    )
    for path in (ROOT / "book").glob("[0-9][0-9]-*.md"):
        assert least <= chapter_times.amount(pages.read(path, ROOT)).words <= most, path.name


def test_no_time_of_a_chapter_is_typed_by_hand():
    assert chapter_times.MARK in PAGE
    assert re.findall(r"(?m)^\|.*\d (?:s|min|MB|GB) *\|", PAGE) == []


@pytest.mark.parametrize(("number", "words"), PROJECTED, ids=[row[0] for row in PROJECTED])
def test_a_picture_worth_projecting_is_in_its_chapter_and_has_a_slider(number, words):
    page = next((ROOT / "book").glob(f"{int(number):02}-*.md")).read_text(encoding="utf-8")
    _, *sliders = page.split("display.frames(")
    captions = (re.sub(r'"\s*"', "", call.split("```")[0]) for call in sliders)
    assert any(re.search(rf'caption=\(?\s*"{re.escape(words)}', each) for each in captions)


def test_the_limits_on_the_page_are_those_of_the_command():
    options = cli.make_parser().parse_args(["grade", "x"])
    assert f"{options.cell_seconds} seconds (`--cell-seconds`)" in PAGE
    assert f"all cells {options.seconds} (`--seconds`)" in PAGE
    assert f"{options.memory} GB" in PAGE and f"{options.largest} MB (`--largest`)" in PAGE
    assert (Limits().seconds, Limits().cell_seconds) == (options.seconds, options.cell_seconds)


def beside(tool):
    """The pieces of Python on the page that belong to one of the other graders."""
    section = PAGE.split("## Beside nbgrader")[1].split("\n## ")[0]
    part = section.split(f"**{tool}")[1].split("\n**")[0]
    return re.findall(r"(?s)```python\n(.*?)```", part)


def defined(code):
    """The functions and other names that a cell leaves behind."""
    names = {}
    exec(code, names)
    return names


def chapter_with_tests(folder, variant=0):
    """The names and sources of the graded cells that the page's script adds to chapter 3."""
    text = (ROOT / "notebooks" / "03-forward-diffusion.ipynb").read_text(encoding="utf-8")
    notebook = folder / "chapter.ipynb"
    notebook.write_text(handout.stamp(text, variant)[0] if variant else text, encoding="utf-8")
    script = folder / "add_tests.py"
    script.write_text(beside("nbgrader")[1], encoding="utf-8")
    subprocess.run([sys.executable, script, notebook], check=True)
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    graded = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade")]
    return {cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"]) for cell in graded}


IN_CHAPTER_3 = [name for name in EXERCISES if name.startswith("forward-diffusion.")]


@pytest.mark.parametrize("variant", [0, 2027])
def test_the_script_for_nbgrader_adds_a_test_that_only_answers_pass(tmp_path, variant):
    tests = chapter_with_tests(tmp_path, variant)
    assert list(tests) == [name.replace(".", "-") for name in IN_CHAPTER_3]
    for name in IN_CHAPTER_3:
        exercise = variants.make(EXERCISES[name], variant)
        test = tests[name.replace(".", "-")]
        exec(test, {exercise.reference.__name__: exercise.reference})
        with pytest.raises(AssertionError, match="Not attempted"):
            exec(test, defined(exercise.starter))


def test_what_the_script_for_nbgrader_hides_is_the_whole_test(tmp_path):
    for test in chapter_with_tests(tmp_path).values():
        begin, end = "### BEGIN HIDDEN TESTS\n", "### END HIDDEN TESTS"
        seen, rest = test.split(begin)
        assert seen.startswith("#") and seen.count("\n") == 1 and rest.endswith(end)


def test_the_file_for_otter_passes_only_an_answer(monkeypatch):
    test_files = ModuleType("otter.test_files")
    test_files.test_case = lambda: lambda function: function
    monkeypatch.setitem(sys.modules, "otter", ModuleType("otter"))
    monkeypatch.setitem(sys.modules, "otter.test_files", test_files)
    file = defined(beside("otter-grader")[0])
    exercise = EXERCISES[file["name"]]
    file["test_answer"]({exercise.reference.__name__: exercise.reference})
    for unsolved in ({}, defined(exercise.starter)):
        with pytest.raises(AssertionError, match="Not attempted"):
            file["test_answer"](unsolved)
