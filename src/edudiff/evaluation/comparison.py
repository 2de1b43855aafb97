"""The table that compares the models of the book: it is measured once, shipped, and read here.

`python benchmarks/compare_models.py` measures and writes it. Chapters read it, so that what they
say of a model is what was measured of the weights that come with the package.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import kendalltau

FILE = Path(__file__).parent / "measured" / "comparison.jsonl"
GROUPS = ("models", "points")
Row = dict[str, Any]

LARGER_IS_BETTER = {"one": 1, "two": 1, "colour": 1, "clip_score": 1, "frechet": -1, "diversity": 1}
"""For each measure of a row 1 if more is better, −1 if less is."""


class Agreement(NamedTuple):
    """How far two measures order models alike.

    Attributes:
        tau: Kendall's τ, from −1, the reverse order, to 1, the same order.
        p: how probable a τ at least as far from 0 is between orders that have nothing to do with
            each other.
        n: how many models were ordered.
    """

    tau: float
    p: float
    n: int


def read(file: Path = FILE) -> dict[str, Any]:
    """The table as it was written.

    Returns:
        "num_prompts"; "models", name → row, and "points", the same for those that draw points on
        the plane. A row has a "kind": "model", "setting" of a model, or "control".

    Raises:
        ValueError: if there is no table; the message says how to make one.
    """
    if not file.is_file():
        raise ValueError(f"{file}: expected a table, got none; run benchmarks/compare_models.py")
    table: dict[str, Any] = {group: {} for group in GROUPS}
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "name" in row:
            table[row.pop("group")][row.pop("name")] = row
        else:
            table |= row
    return table


def write(table: Mapping[str, Any], file: Path = FILE) -> None:
    """Write the table: a line for what holds for all of it, and then one for each row."""
    lines = [{name: value for name, value in table.items() if name not in GROUPS}]
    for group in GROUPS:
        lines += [{"group": group, "name": name} | row for name, row in table[group].items()]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    file.write_text(text + "\n", encoding="utf-8")


def number(row: Row, measure: str) -> float:
    """A measure of a row as one number; a pair (right, asked) as its share."""
    value = row[measure]
    return value[0] / value[1] if isinstance(value, list | tuple) else float(value)


def agreement(rows: Sequence[Row], measure: str, truth: str) -> Agreement:
    """Whether a measure orders models as the truth does; for both, better comes first.

    Raises:
        ValueError: for fewer than three rows, or a measure without an order.

    Source:
        Kendall 1938, `scipy.stats.kendalltau`.
    """
    if len(rows) < 3:
        raise ValueError(f"rows: expected at least three, got {len(rows)}")
    unknown = {measure, truth} - set(LARGER_IS_BETTER)
    if unknown:
        known = sorted(LARGER_IS_BETTER)
        raise ValueError(f"measure, truth: expected two of {known}, got {sorted(unknown)}")
    values = [
        [LARGER_IS_BETTER[name] * number(row, name) for row in rows] for name in (measure, truth)
    ]
    found = kendalltau(*values)
    return Agreement(float(found.statistic), float(found.pvalue), len(rows))


def as_text(rows: Mapping[str, Row], columns: Mapping[str, str]) -> str:
    """A table to print: the names, and for each measure its heading and its format.

    Args:
        rows: name → row.
        columns: measure → how it is printed, such as "{:.0%}"; a row that lacks it has a dash.
    """
    first = max(map(len, rows))
    heads = {name: max(len(name), 7) for name in columns}
    lines = [" " * first + "".join(f"  {name:>{wide}}" for name, wide in heads.items())]
    for name, row in rows.items():
        cells = [
            columns[each].format(number(row, each)) if row.get(each) is not None else "–"
            for each in columns
        ]
        ends = "".join(
            f"  {cell:>{wide}}" for cell, wide in zip(cells, heads.values(), strict=True)
        )
        lines.append(f"{name:{first}}{ends}")
    return "\n".join(lines)
