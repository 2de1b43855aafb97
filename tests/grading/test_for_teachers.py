"""The page for teachers says what holds."""

import re
from pathlib import Path

import pytest

from edudiff import cli
from edudiff.exercises import EXERCISES
from edudiff.exercises.variations import VARIATIONS
from edudiff.grading.classroom import choose_exercises
from edudiff.grading.limits import Limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "for-teachers.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| (\d+) .+ \| (\d+ s) \| ([\d.]+ [MG]B) \|$", PAGE)

PROJECTED = re.findall(r"(?m)^\| (\d+) \| (.+) \| .+\? \|$", PAGE)


def test_the_table_of_costs_is_found():
    assert len(ROWS) >= 11


@pytest.mark.parametrize(("number", "seconds", "memory"), ROWS, ids=[row[0] for row in ROWS])
def test_the_costs_are_those_that_the_chapters_begin_with(number, seconds, memory):
    chapter = next((ROOT / "book").glob(f"{int(number):02}-*.md")).read_text(encoding="utf-8")
    assert f"**Cost:** {seconds} on two CPU cores, {memory} of memory" in chapter


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


def test_the_minutes_of_reading_are_those_of_the_shortest_and_longest_chapter_allowed():
    pace, *minutes = map(
        int, re.search(r"at (\d+) words a minute, (\d+) to (\d+) min", PAGE).groups()
    )
    allowed = re.search(r"([\d,]+) to ([\d,]+) words of prose", PAGE).groups()
    assert minutes == [int(number.replace(",", "")) // pace for number in allowed]


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
