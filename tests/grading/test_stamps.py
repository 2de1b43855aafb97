import json

import pytest

from edudiff.grading import stamps

LARGEST = 10**5


def stamped(variant: int | None) -> str:
    metadata = {} if variant is None else {"edudiff": {"variant": variant}}
    return json.dumps({"cells": [], "metadata": metadata})


def test_a_notebook_of_another_variant_is_remarked_on():
    assert stamps.remarks(stamped(2026), 2027) == ["made for variant 2026, graded as variant 2027"]
    assert stamps.remarks(stamped(None), 2027) == ["made for the book, graded as variant 2027"]
    assert stamps.remarks(stamped(2026), 0) == ["made for variant 2026, graded as the book"]


def test_a_notebook_of_the_right_variant_is_not_remarked_on():
    assert stamps.remarks(stamped(2027), 2027) == stamps.remarks(stamped(None), 0) == []


@pytest.fixture
def submit(tmp_path):
    """Variants, one for each student → the folder."""

    def write(*variants: int | None):
        for number, variant in enumerate(variants):
            (tmp_path / f"student-{number}.ipynb").write_text(stamped(variant))
        return tmp_path

    return write


def test_a_class_with_a_variant_is_not_graded_as_the_books(submit, refusal):
    with refusal("--variant: expected 2027, for which 2 of 3 students have notebooks"):
        stamps.refuse_others(submit(2027, None, 2027), LARGEST)


def test_few_notebooks_of_a_variant_stop_no_class(submit):
    stamps.refuse_others(submit(2027, None, 2026, None), LARGEST)


def test_files_that_are_too_large_or_no_notebook_stop_no_class(submit):
    folder = submit(None)
    (folder / "large.ipynb").write_text(stamped(2027) + " " * LARGEST)
    (folder / "broken.ipynb").write_bytes(b"\xff\xfe")
    stamps.refuse_others(folder, LARGEST)
