import sys

import pytest

import build_book


@pytest.fixture
def book(monkeypatch, tmp_path):
    """A project in an empty folder; returns the list of builds, each with what it found cached."""
    for name in ("src", "book", "notebooks", "tools"):
        (tmp_path / name).mkdir()
    for name in ("requirements.txt", "_config.yml", "_toc.yml", "src/a.py", "book/a.md"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(build_book, "HTML", tmp_path / "_build" / "html")
    monkeypatch.setattr(build_book.fetch_web_assets, "main", lambda: None)
    monkeypatch.setattr(build_book.equations, "require_tests", lambda root: None)
    monkeypatch.setattr(build_book.equations, "places", lambda root: [])
    builds = []

    def write_pages():
        cache = build_book.BUILD / ".jupyter_cache"
        builds.append(cache.exists())
        cache.mkdir(exist_ok=True)

    monkeypatch.setattr(build_book, "write_pages", write_pages)
    monkeypatch.setattr(build_book.run_chapters, "run", lambda *where: None)
    return builds


def test_nothing_changed_nothing_done(book):
    build_book.build()
    build_book.build()
    assert book == [False]


@pytest.mark.parametrize("name", ["book/a.md", "_config.yml", "_toc.yml"])
def test_changed_pages_are_built_from_kept_results(name, book, tmp_path):
    build_book.build()
    (tmp_path / name).write_text("changed")
    build_book.build()
    assert book == [False, True]


@pytest.mark.parametrize("name", ["src/a.py", "src/new.py", "requirements.txt"])
def test_changed_code_forgets_the_results(name, book, tmp_path):
    build_book.build()
    (tmp_path / name).write_text("changed")
    build_book.build()
    assert book == [False, False]


def test_another_python_forgets_the_results(book, monkeypatch):
    build_book.build()
    monkeypatch.setattr(build_book.platform, "python_version", lambda: "3.99.0")
    build_book.build()
    assert book == [False, False]


def test_a_failed_build_is_not_taken_for_a_good_one(book, tmp_path, monkeypatch):
    build_book.build()
    (tmp_path / "book" / "a.md").write_text("changed")
    with monkeypatch.context() as bad_day, pytest.raises(SystemExit):
        bad_day.setattr(build_book, "write_pages", sys.exit)
        build_book.build()
    build_book.build()
    assert book == [False, True]


def test_an_equation_without_a_test_stops_the_build_before_any_chapter_runs(book, monkeypatch):
    monkeypatch.setattr(build_book.equations, "require_tests", lambda root: sys.exit("no test"))
    with pytest.raises(SystemExit, match="no test"):
        build_book.build()
    assert book == []


def test_a_test_that_has_moved_changes_the_pages(book, monkeypatch):
    tie = build_book.equations.Tie("eq-a", "tests/test_a.py::test_b", 1)
    for line in (4, 4, 9):
        monkeypatch.setattr(build_book.equations, "places", lambda root, line=line: [(tie, line)])
        build_book.build()
    assert book == [False, True]


def test_chapters_run_before_the_pages_are_written_and_only_if_something_changed(
    book, monkeypatch, tmp_path
):
    def run(*where):
        book.append(where)

    monkeypatch.setattr(build_book.run_chapters, "run", run)
    build_book.build()
    build_book.build()
    where = (tmp_path / "book", tmp_path / "_build" / ".jupyter_cache", build_book.ENVIRONMENT)
    assert book == [where, False]


def test_a_renamed_file_changes_the_checksum(book, tmp_path):
    before = build_book.digest([tmp_path / "src"])
    (tmp_path / "src" / "a.py").rename(tmp_path / "src" / "b.py")
    assert build_book.digest([tmp_path / "src"]) != before


def test_compiled_files_do_not_change_the_checksum(book, tmp_path):
    before = build_book.digest([tmp_path / "src"])
    (tmp_path / "src" / "__pycache__").mkdir()
    (tmp_path / "src" / "__pycache__" / "a.pyc").write_text("x")
    assert build_book.digest([tmp_path / "src"]) == before
