import json
from pathlib import Path

import pytest

from edudiff import cli
from edudiff.exercises import handout

BOOK = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def notebooks(tmp_path) -> Path:
    """Two of the book's notebooks, one of which has exercises."""
    folder = tmp_path / "book"
    folder.mkdir()
    for name in ("02-gan", "notation"):
        text = (BOOK / f"{name}.ipynb").read_text(encoding="utf-8")
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return folder


def call(notebooks, out, year="2027") -> int:
    words = ["exercises", "--seed", year, "--out", str(out), "--notebooks", str(notebooks)]
    return cli.main(words)


def test_the_notebooks_with_exercises_are_written(notebooks, tmp_path, capsys):
    out = tmp_path / "class" / "2027"
    assert call(notebooks, out) == 0
    assert [path.name for path in out.iterdir()] == ["02-gan.ipynb"]
    assert handout.stamped((out / "02-gan.ipynb").read_text(encoding="utf-8")) == 2027
    said = capsys.readouterr().out
    assert "02-gan.ipynb: 4 exercises; numbers: gan.2 " in said
    assert said.endswith("edudiff grade SUBMISSIONS --variant 2027\n")


def test_what_is_written_is_still_a_notebook(notebooks, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    call(notebooks, tmp_path / "out")
    nbformat.validate(json.loads((tmp_path / "out" / "02-gan.ipynb").read_text(encoding="utf-8")))


def test_two_years_differ_and_the_book_stays(notebooks, tmp_path):
    before = (notebooks / "02-gan.ipynb").read_bytes()
    for year in ("2026", "2027"):
        call(notebooks, tmp_path / year, year)
    written = [(tmp_path / year / "02-gan.ipynb").read_bytes() for year in ("2026", "2027")]
    assert written[0] != written[1] and (notebooks / "02-gan.ipynb").read_bytes() == before


def test_the_books_own_folder_is_not_written_to(notebooks, capsys):
    assert call(notebooks, notebooks) == 2
    assert "--out: expected another folder" in capsys.readouterr().err


def test_a_folder_without_exercises_is_refused(tmp_path, capsys):
    assert call(tmp_path, tmp_path / "out") == 2
    assert "--notebooks: expected the book's notebooks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("year", ["0", "last"])
def test_a_variant_is_a_whole_number_from_1(year, notebooks, tmp_path):
    with pytest.raises(SystemExit):
        call(notebooks, tmp_path / "out", year)
