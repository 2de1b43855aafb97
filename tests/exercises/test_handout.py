import json
from pathlib import Path

import pytest

from edudiff.exercises import EXERCISES, handout, variants

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAME = "rendering.1"


@pytest.fixture
def page() -> str:
    """A notebook of the book's."""
    return (NOTEBOOKS / "01-rendering.ipynb").read_text(encoding="utf-8")


def cells(text: str) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def test_only_what_a_variant_changes_is_changed(page):
    old, new = cells(page), cells(handout.stamp(page, 2027)[0])
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    starters = [EXERCISES[f"rendering.{n}"].starter for n in (1, 3, 5)]
    assert [a for a, _ in changed if "from edudiff.exercises import check" in a] == starters
    posed = [(a, b) for a, b in changed if a.startswith("**Exercise") or "**Exercise" in a]
    assert len(posed) == 2 and all(b.startswith(a) for a, b in posed)
    assert len(changed) == 1 + 3 + 2  # the badge, the starters, what is said above two of them


def test_the_number_is_said_where_the_exercise_is_posed_and_asked_for_below(page):
    text, names = handout.stamp(page, 2027)
    assert names == ["rendering.1", "rendering.3", "rendering.5"]
    own = variants.make(EXERCISES[NAME], 2027)
    place = cells(text).index(own.starter)
    assert cells(text)[place - 1].endswith(f"**Variant 2027.** {variants.says(own)}")


def test_two_variants_say_different_numbers(page):
    one, two = (cells(handout.stamp(page, year)[0]) for year in (2026, 2027))
    said = [[words for words in each if "**Variant" in words] for each in (one, two)]
    assert len(said[0]) == 3
    assert all(
        a.replace("2026", "2027") != b for a, b in zip(said[0][1:], said[1][1:], strict=True)
    )


def test_no_badge_leads_back_to_the_book(page):
    assert "colab-badge" in page
    assert "colab-badge" not in handout.stamp(page, 2027)[0]


def test_a_stamped_notebook_is_recognised(page):
    text, _ = handout.stamp(page, 2027)
    assert handout.stamped(text) == 2027
    assert handout.stamped(page) == 0


def test_a_stamped_notebook_is_recognised_without_its_metadata(page):
    whole = json.loads(handout.stamp(page, 2027)[0])
    whole["metadata"] = {}
    assert handout.stamped(json.dumps(whole)) == 2027


@pytest.mark.parametrize(
    "text", ["", "not JSON", "[]", "3", '{"metadata": {"edudiff": {}}}', "[" * 9999]
)
def test_what_is_no_notebook_has_no_stamp(text):
    assert handout.stamped(text) == 0


@pytest.mark.parametrize("text", ["not JSON", "[]", "{}", '{"cells": [1, 2]}'])
def test_what_is_no_notebook_is_refused(text, refusal):
    with refusal("notebook: expected one of the book's"):
        handout.stamp(text, 2027)
