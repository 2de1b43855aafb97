import pytest

from edudiff.checkpoints import registry
from edudiff.evaluation import comparison, intervals
from edudiff.training import log
from edudiff.training.recipes import contest

ROWS = {
    "good": {"kind": "model", "one": [9, 10], "clip_score": 2.0, "frechet": 0.5},
    "middling": {"kind": "model", "one": [5, 10], "clip_score": 1.5, "frechet": 0.7},
    "poor": {"kind": "model", "one": [1, 10], "clip_score": 1.7, "frechet": 3.0},
}


def test_what_is_written_is_read(tmp_path):
    table = {"num_prompts": 10, "models": ROWS, "points": {}}
    comparison.write(table, tmp_path / "table.jsonl")
    assert comparison.read(tmp_path / "table.jsonl") == table


def test_each_row_has_a_line_of_its_own(tmp_path):
    comparison.write({"num_prompts": 10, "models": ROWS, "points": {}}, tmp_path / "table.jsonl")
    lines = (tmp_path / "table.jsonl").read_text().splitlines()
    assert sum('"kind"' in line for line in lines) == len(ROWS)


def test_without_a_table_the_message_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match="run benchmarks/compare_models.py"):
        comparison.read(tmp_path / "nowhere.jsonl")


def test_a_pair_is_a_share():
    assert comparison.number(ROWS["middling"], "one") == 0.5
    assert comparison.number({"one": (5, 10)}, "one") == 0.5  # before it was written and read
    assert comparison.number(ROWS["middling"], "frechet") == 0.7


def test_the_same_order_is_one_also_where_less_is_better():
    found = comparison.agreement(list(ROWS.values()), "frechet", "one")
    assert found.tau == pytest.approx(1) and found.n == 3
    assert found.p == pytest.approx(2 / 6)  # of six orders this one and its reverse


def test_one_pair_in_the_wrong_order_costs_two_thirds():
    assert comparison.agreement(list(ROWS.values()), "clip_score", "one").tau == pytest.approx(
        1 / 3
    )


def test_an_order_needs_three_rows_and_a_known_measure():
    with pytest.raises(ValueError, match="at least three, got 2"):
        comparison.agreement(list(ROWS.values())[:2], "one", "frechet")
    with pytest.raises(ValueError, match="got \\['kind'\\]"):
        comparison.agreement(list(ROWS.values()), "kind", "one")


def test_a_printed_table_has_a_dash_where_nothing_was_measured():
    rows = ROWS | {"truth": {"one": [10, 10]}}
    text = comparison.as_text(rows, {"one": "{:.0%}", "frechet": "{:.1f}"})
    head, *lines = text.splitlines()
    assert head.split() == ["one", "frechet"]
    assert lines[0].split() == ["good", "90%", "0.5"]
    assert lines[-1].split() == ["truth", "100%", "–"]
    assert len({len(line) for line in (head, *lines)}) == 1


def test_the_shipped_table_has_every_measure_for_every_model():
    table = comparison.read()
    for name, row in table["models"].items():
        assert row["kind"] in ("model", "setting", "control"), name
        assert len(row["right"]) == len(row["clip"]) == table["num_prompts"], name
        for measure in comparison.LARGER_IS_BETTER:
            assert comparison.number(row, measure) >= 0, (name, measure)
        if row["kind"] != "control":
            assert row["seconds"] > 0 and row["parameters"] > 0, name


def beside_sd(name):
    return log.read(comparison.FILE.with_name(f"{name}.jsonl"))


@pytest.mark.parametrize("name", ["sdxl_against_sd", "aspect_buckets"])
def test_sdxl_was_measured_beside_sd_with_the_weights_that_are_shipped(name):
    for row in beside_sd(name):
        now = registry.digest(*row["drawn_with"])
        assert row["weights"] == now, f"python benchmarks/{name}.py"


def test_sdxl_with_its_refiner_draws_more_of_what_is_asked_than_sd():
    sd, _, refined = (row["right"] for row in beside_sd("sdxl_against_sd"))
    assert len(sd) == 1000 and more(sd, refined) > 0


def more(before, after):
    """The lower end of the interval of a mean difference."""
    pairs = zip(before, after, strict=True)
    return intervals.mean_interval([float(b - a) for a, b in pairs]).low


def test_sdxl_distorts_fewer_shapes_than_sd_in_wide_and_tall_pictures():
    found = {(row["name"], row["bucket"]): row["right"] for row in beside_sd("aspect_buckets")}
    for bucket in ("wide", "tall"):
        before, after = (found[name, bucket] for name in ("tiny-sd", "tiny-sdxl"))
        assert len(before) == 200 and more(before, after) > 0, bucket


def test_the_table_was_measured_with_the_weights_that_are_shipped():
    old = []
    for name, row in comparison.read()["models"].items():
        own = [] if row["kind"] == "control" else [contest.weights_of(name)]
        if row["weights"] != registry.digest("tiny-clip", *own):
            old.append(name)
    assert old == [], f"python benchmarks/compare_models.py --only {old}"
