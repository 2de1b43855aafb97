import torch

from edudiff.exercises.lineup import close, line_up

PROGRAMS = {
    "it doubles": lambda x, y: 2 * x,
    "it squares": lambda x, y: x**2,
    "it adds": lambda x, y: x + y,
}


def cases(seed, **options):
    def draw(generator):
        x, y = torch.randn(2, 3, generator=generator)
        return {"x": x, "y": y}

    generator = torch.Generator().manual_seed(seed)
    return line_up(generator, PROGRAMS, draw, "made", **options)


def test_every_program_is_shown_once_with_what_it_made_last():
    found = cases(0)
    assert sorted(case.about for case in found) == sorted(PROGRAMS)
    for case in found:
        assert list(case.given) == ["x", "y", "made"]
        x, y, made = case.given.values()
        assert made.equal(PROGRAMS[case.about](x, y))


def test_another_generator_settles_another_order_and_other_inputs():
    orders = {tuple(case.about for case in cases(seed)) for seed in range(6)}
    assert len(orders) > 1
    assert not cases(0)[0].given["x"].equal(cases(1)[0].given["x"])


def test_a_hidden_input_is_used_but_not_shown():
    assert [list(case.given) for case in cases(0, hidden="y")] == [["x", "made"]] * 3


def test_close_forgives_rounding_and_nothing_else():
    x = torch.tensor([0.1, 7.0], dtype=torch.float64)
    assert close(x.float(), x) and not close(1.01 * x, x)
