import json

import pytest

from edudiff.grading import cells


def test_code_cells_are_read_in_order(notebook):
    assert cells.read(notebook(["a = 1", "b = 2"])) == ["a = 1", "b = 2"]


def test_text_cells_are_left_out_and_lines_are_joined():
    book = {"cells": [{"cell_type": "markdown"}, {"cell_type": "code", "source": ["a\n", "b"]}]}
    assert cells.read(json.dumps(book)) == ["a\nb"]


@pytest.mark.parametrize(
    "text",
    ["", "PK", "3", "[]", "{}", '{"cells": 3}', '{"cells": [{"cell_type": "code"}]}', "[" * 10**5],
)
def test_what_is_no_notebook_is_refused(text, refusal):
    with refusal("notebook: expected cells in JSON, got"):
        cells.read(text)


@pytest.mark.parametrize(
    "source",
    [
        "%pip install x\na = 1",
        "!ls\na = 1",
        "%%time\na = 1",
        "if True:\n    %matplotlib inline\na = 1",
    ],
)
def test_lines_for_jupyter_are_left_out(source):
    space = {}
    exec(cells.runnable(source), space)
    assert space["a"] == 1


def test_a_remainder_at_the_start_of_a_line_stays():
    source = "a = (7\n% 4)"
    assert cells.runnable(source) == source


def test_what_is_not_python_is_told():
    with pytest.raises(SyntaxError):
        cells.runnable("def :")


@pytest.mark.parametrize(
    "source",
    [
        "from edudiff.exercises.forward_diffusion import sigma",
        "from edudiff.exercises import EXERCISES",
        "import edudiff.exercises.catalogue",
        "import importlib; importlib.import_module('edudiff.exercises.catalogue')",
        "open('/x/edudiff/exercises/noising.py')",
    ],
)
def test_reaching_for_the_answers_is_remarked(source):
    assert cells.remarks(["a = 1", source]) == ["takes more than check from edudiff.exercises"]


@pytest.mark.parametrize(
    "source",
    [
        "from edudiff.exercises import check",
        "from edudiff.exercises import check, Status",
        "from edudiff.diffusion import schedule",
        "%pip install edudiff",
        "def :",
    ],
)
def test_what_every_notebook_does_is_not_remarked(source):
    assert cells.remarks([source]) == []
