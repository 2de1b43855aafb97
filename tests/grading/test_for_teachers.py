"""The page for teachers says what holds."""

import re
from pathlib import Path

import pytest

from edudiff import cli
from edudiff.exercises import EXERCISES
from edudiff.grading.classroom import choose_exercises
from edudiff.grading.limits import Limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "for-teachers.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| (\d+) .+ \| (\d+ s) \| ([\d.]+ [MG]B) \|$", PAGE)


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


def test_the_limits_on_the_page_are_those_of_the_command():
    options = cli.make_parser().parse_args(["grade", "x"])
    assert f"{options.cell_seconds} seconds (`--cell-seconds`)" in PAGE
    assert f"all cells {options.seconds} (`--seconds`)" in PAGE
    assert f"{options.memory} GB" in PAGE and f"{options.largest} MB (`--largest`)" in PAGE
    assert (Limits().seconds, Limits().cell_seconds) == (options.seconds, options.cell_seconds)
