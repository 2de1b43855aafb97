import json
from dataclasses import replace

import pytest
import torch

from edudiff.diffusion.multiscale import pyramid
from edudiff.training.recipes import growing
from edudiff.training.recipes.growing import Choice


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def nested():
    torch.manual_seed(20)
    return growing.make_nested(growing.make_base())


@pytest.fixture(scope="module")
def digits():
    return growing.split()


def test_the_three_parts_are_all_digits_and_two_of_them_are_equally_large(digits):
    x0, real, others = digits
    assert len(real) == len(others) == growing.NUM_MEASURED
    assert len(x0) + len(real) + len(others) == 1797
    whole = torch.cat(digits).flatten(1).unique(dim=0)
    assert len(whole) == len(growing.digits.load().images.flatten(1).unique(dim=0))


def test_an_untrained_network_errs_by_the_part_of_the_noise_that_it_does_not_see(nested, digits):
    """v̂ = 0 gives ε̂ = √(1 − ᾱ) x_t; at power 0 the mean error is known at each resolution."""
    x0 = digits[0][:256]
    found = growing.loss(nested, x0, seeded(1), Choice(power=0.0))
    alpha_bar = growing.SCHEDULE.alphas_cumprod
    expected = 0.0
    for level in pyramid(x0, growing.RATIOS):
        error = alpha_bar**2 + alpha_bar * (1 - alpha_bar) * level.square().mean()
        expected += float(error.mean())
    torch.testing.assert_close(found.item(), expected, rtol=0.05, atol=0)


def test_the_small_network_alone_has_the_low_part_of_the_loss(digits):
    torch.manual_seed(20)
    base = growing.make_base()
    grown = growing.make_nested(base)
    both, high_only = (
        growing.loss(grown, digits[0][:8], seeded(1), Choice(weights=weights))
        for weights in ((1.0, 1.0), (1.0, 0.0))
    )
    low = growing.loss(base, digits[0][:8], seeded(1), Choice())
    torch.testing.assert_close(high_only + low, both)


def test_a_mixed_batch_has_the_low_loss_of_the_whole_one(nested, digits):
    """With no weight on the high resolution it does not matter who has it."""
    low = Choice(weights=(0.0, 1.0))
    whole, mixed = (
        growing.loss(nested, digits[0][:8], seeded(1), choice)
        for choice in (low, replace(low, mixed_ratio=(1, 3)))
    )
    torch.testing.assert_close(whole, mixed)


def test_pooled_noise_is_seen_in_the_start_of_drawing(nested):
    """An untrained network leaves every stream a multiple of its noise."""
    high, low = growing.draw(nested, 4, Choice(pooled=True), steps=1)
    averaged = pyramid(high, growing.RATIOS)[-1]
    r = torch.corrcoef(torch.stack([averaged.flatten(), low.flatten()]))[0, 1]
    high, low = growing.draw(nested, 4, Choice(), steps=1)
    averaged = pyramid(high, growing.RATIOS)[-1]
    other = torch.corrcoef(torch.stack([averaged.flatten(), low.flatten()]))[0, 1]
    assert r > 0.9 > 0.5 > other.abs()


def test_the_same_seed_draws_the_same_pictures_between_minus_one_and_one(nested):
    one, two = (growing.draw(nested, 3, Choice(), seed=5, steps=2) for _ in range(2))
    assert [tuple(x.shape) for x in one] == [(3, 1, 8, 8), (3, 1, 4, 4)]
    assert all(torch.equal(a, b) and a.abs().max() <= 1 for a, b in zip(one, two, strict=True))


def test_real_pictures_measured_against_themselves_are_perfect(digits):
    real = digits[1]
    found = growing.measure(pyramid(real, growing.RATIOS), real)
    assert found == {"distance": 0.0, "low": 0.0, "apart": 0.0, "sharpness": 1.0}


def test_noise_is_far_from_digits_sharper_and_does_not_agree_with_itself(digits):
    noise = [torch.randn(256, 1, side, side).clamp(-1, 1) for side in growing.SIZES]
    found = growing.measure(noise, digits[1])
    assert found["distance"] > 0.2 and found["low"] > 0.2
    assert found["apart"] > 0.5 and found["sharpness"] > 1.5


def test_a_step_of_the_small_network_is_cheaper_and_a_mixed_one_in_between(nested):
    small = growing.operations(growing.make_base(), Choice())
    mixed = growing.operations(nested, Choice(mixed_ratio=(1, 1)))
    whole = growing.operations(nested, Choice())
    assert small < mixed < whole
    assert abs((mixed - small) / (whole - small) - 0.5) < 0.02
    assert all(weight.grad is None for weight in nested.parameters())


@pytest.mark.slow
def test_a_few_dozen_steps_bring_pictures_nearer_to_digits(digits):
    torch.manual_seed(20)
    model = growing.make_nested(growing.make_base())
    average, step = growing.prepare(model, digits[0], Choice())
    before = growing.measure(growing.draw(model, 256, Choice()), digits[1])["distance"]
    generator = seeded(3)
    for _ in range(40):
        step(generator)
    after = growing.measure(growing.draw(average.module, 256, Choice()), digits[1])["distance"]
    assert after < 0.7 * before


def test_the_results_that_the_book_reads_are_whole_and_used_equal_operations():
    real, *rows = growing.results()
    assert real["way"] == "real pictures" and "seed" not in real
    ways = {row["way"] for row in rows}
    assert {"scratch", "progressive", "power 0", "power 1", "pooled noise"} < ways
    for way in ways:
        last = {row["seed"]: row for row in rows if row["way"] == way}
        assert len(last) >= 3
        used = [row["gflop"] for row in last.values()]
        expected = [row["steps"] * rows[0]["gflop"] / rows[0]["high_steps"] for row in rows]
        assert all(abs(each / expected[0] - 1) < 0.01 for each in used)


def test_a_line_that_a_kill_cut_short_is_not_a_result(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"way": "scratch"}) + '\n{"way": "scr', encoding="utf-8")
    assert growing.results(path) == [{"way": "scratch"}]
