"""A book of one page to try the notebook generator on."""

from types import SimpleNamespace

import nbformat
import pytest

import make_notebooks

HEADER = """\
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

# The page

"""
BODY = HEADER.count("\n") + 1  # the line on which a test's own text begins
CODE = "\n\n```{code-cell} ipython3\n1 + 1\n```\n"
CONFIG = """\
repository: {url: https://github.com/org/repo, branch: v1.2.3}
html: {baseurl: https://org.example/book/}
"""
REFERENCES = r"""
@inproceedings{ho2020,
  author = {Ho, Jonathan and Jain, Ajay and Abbeel, Pieter},
  title = {Denoising diffusion},
  booktitle = {NeurIPS},
  year = {2020},
  eprint = {2006.11239},
}
@article{two1957,
  author = {Fr{\'e}chet, Maurice and van der Waerden, Bartel},
  title = {A distance},
  journal = {Comptes rendus},
  year = {1957},
  doi = {10.1000/x},
}
@misc{others2025,
  author = {Name, A. and others},
  title = {More notes},
  year = {2025},
}
@misc{plain2024,
  author = {{A Company}},
  title = {Notes},
  year = {2024},
}
"""


@pytest.fixture
def book(tmp_path):
    """A book of one page with code and one without, and the tool to run on it."""
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "book" / "references.bib").write_text(REFERENCES)
    (tmp_path / "book" / "picture.png").write_bytes(b"")

    def write(body, name="02-page", code=CODE):
        text = HEADER + body + code
        (tmp_path / "book" / f"{name}.md").write_text(text, encoding="utf-8")

    def run(*arguments):
        return make_notebooks.main(arguments, tmp_path)

    def cells(body, name="02-page", code=CODE):
        """The notebook's own cells for this text, less the two at the top."""
        write(body, name, code)
        assert run() == 0
        text = (tmp_path / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
        return nbformat.reads(text, as_version=4).cells[2:]

    def markdown(body):
        """The first cell below the page's title."""
        return cells(body)[0].source.removeprefix("# The page").strip("\n")

    return SimpleNamespace(
        root=tmp_path, first_line=BODY, write=write, run=run, cells=cells, markdown=markdown
    )


@pytest.fixture
def refused(book, capsys):
    """What is said of a page that is refused, after the file's name and line."""

    def refused(body, line, code=CODE):
        book.write(body, code=code)
        assert book.run() == 2
        place, message = capsys.readouterr().err.strip().split(": ", 1)
        assert place == f"book/02-page.md:{BODY + line - 1}"
        assert not (book.root / "notebooks").exists()
        return message

    return refused
