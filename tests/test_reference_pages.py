"""The pages around the chapters say what their cells check, and name what is there."""

import ast
import re
from pathlib import Path

import pytest

from edudiff.evaluation.fact_check import VERDICTS
from myst import pages

BOOK = Path(__file__).parents[1] / "book"
ROW = re.compile(r"^\| (\d+) \| (A\d.*?) \| (.*?) \| (.*) \|$", re.MULTILINE)
NAMED = re.compile(r"\{doc\}`[^`<]*?<?(\d\d-[\w-]+)>?`((?:[,:]? (?:and )?\*[^*]+\*)*)")
PAGES = ["fact-check", "timeline", "notation", "measured", "safety", "corrections"]


def code(name: str) -> list[str]:
    page = pages.read(BOOK / f"{name}.md", BOOK.parent)
    return [cell.source for cell in page.cells if cell.kind == "code"]


def rows() -> dict[int, tuple[str, str]]:
    """Of every claim the printed verdict, and the words beside it."""
    text = (BOOK / "fact-check.md").read_text(encoding="utf-8")
    found = ROW.findall(text)
    assert len({number for number, *_ in found}) == len(found)
    return {int(number): (verdict, why) for number, _, verdict, why in found}


def calls(name: str) -> list[ast.Call]:
    nodes = [node for source in code("fact-check") for node in ast.walk(ast.parse(source))]
    found = [node for node in nodes if isinstance(node, ast.Call)]
    return [each for each in found if getattr(each.func, "attr", "") == name]


def test_every_claim_of_the_articles_has_one_row():
    assert sorted(rows()) == list(range(1, 49))


def test_the_tables_print_the_verdicts_that_the_cells_compare_with():
    (call,) = calls("FactCheck")
    compared = ast.literal_eval(call.args[0])
    printed = {
        name: [n for n, (verdict, _) in sorted(rows().items()) if verdict == name]
        for name in VERDICTS
    }
    assert {name: sorted(numbers) for name, numbers in compared.items()} == printed


def test_no_verdict_of_a_cell_is_written_down():
    assert [
        ast.unparse(call) for call in calls("decide") if isinstance(call.args[1], ast.Constant)
    ] == []


def test_a_row_names_a_chapter_a_source_or_says_that_the_chapter_is_missing():
    known = ("{doc}", "{cite:", "not in the book yet", "below", "contributors")
    assert {n: why for n, (_, why) in rows().items() if not any(k in why for k in known)} == {}


@pytest.mark.parametrize("name", PAGES)
def test_sections_named_beside_a_chapter_are_in_it(name):
    text = " ".join((BOOK / f"{name}.md").read_text(encoding="utf-8").split("\n"))
    missing = []
    for chapter, named in NAMED.findall(text):
        headings = re.findall(
            r"^##+ (?:\d+\. )?(.+)$", (BOOK / f"{chapter}.md").read_text("utf-8"), re.M
        )
        missing += [
            (chapter, title) for title in re.findall(r"\*([^*]+)\*", named) if title not in headings
        ]
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_code_is_wider_than_79_characters(name):
    assert [line for source in code(name) for line in source.splitlines() if len(line) > 79] == []


def test_terms_of_the_glossary_are_sorted_and_have_a_japanese_word():
    text = (BOOK / "glossary.md").read_text(encoding="utf-8").split("```{glossary}\n")[1]
    entries = [entry.split("\n") for entry in text.removesuffix("```\n").strip().split("\n\n")]
    terms = [lines[0].lower() for lines in entries]
    assert terms == sorted(terms) and len(terms) > 80
    latin = [lines[0] for lines in entries if lines[0] != "U-Net" and lines[1].isascii()]
    assert latin == []


def test_what_the_timeline_calls_counted_is_counted_by_its_cell():
    text = (BOOK / "timeline.md").read_text(encoding="utf-8")
    tables = [line for line in text.split("\n") if line.startswith("| 20") and "counted" in line]
    stated = sorted(float(n) for line in tables for n in re.findall(r"([\d.]+) M\b", line))
    cells = "\n".join(code("timeline"))
    listed = re.search(r"TABLES = (\[.*?\])\n", cells + "\n", re.DOTALL)[1]
    compared = [float(n) for n in re.findall(r", ([\d.]+)\)", listed)]
    assert stated == sorted([*compared, 0.4])
