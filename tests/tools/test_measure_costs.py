import nbformat
import pytest

import measure_costs

LINE = "**Cost:** 20 s on two CPU cores, 500 MB of memory, nothing to download."


def test_the_cost_line_is_rewritten_and_what_it_says_of_downloads_stays():
    text = measure_costs.replace_cost(f"# Title\n\n{LINE}\n\nText.\n", 31.2, 1.234e9)
    line = "**Cost:** 35 s on two CPU cores, 1.2 GB of memory, nothing to download."
    assert text == f"# Title\n\n{line}\n\nText.\n"


def test_measuring_twice_the_same_changes_nothing():
    once = measure_costs.replace_cost(LINE, 17.0, 460e6)
    assert once == LINE and measure_costs.replace_cost(once, 18.5, 499e6) == once


def test_a_chapter_without_a_cost_line_is_refused():
    with pytest.raises(ValueError, match="expected a line"):
        measure_costs.replace_cost("# Title\n", 1.0, 1e6)


def test_only_chapters_with_a_cost_line_are_measured(monkeypatch, tmp_path):
    for name, text in {"intro": "# Welcome\n", "01-a": f"# A\n\n{LINE}\n"}.items():
        for path in (tmp_path / "book" / f"{name}.md", tmp_path / "notebooks" / f"{name}.ipynb"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    monkeypatch.setattr(measure_costs, "ROOT", tmp_path)
    monkeypatch.setattr(measure_costs, "measure", lambda notebook: (41.0, 2e9))
    measure_costs.main()
    assert "45 s on two CPU cores, 2.0 GB" in (tmp_path / "book" / "01-a.md").read_text()
    assert (tmp_path / "book" / "intro.md").read_text() == "# Welcome\n"


def test_time_and_peak_memory_of_a_notebook_are_those_of_its_kernel(tmp_path):
    cells = ["import time\nblock = bytearray(200_000_000)\ntime.sleep(1)", "del block"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    seconds, size = measure_costs.measure(tmp_path / "a.ipynb")
    assert 1 < seconds < 60
    assert 200e6 < size < 500e6
