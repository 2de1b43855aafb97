import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from edudiff import cli
from edudiff.training.job import Job, Recipe
from edudiff.training.log import read

ROOT = Path(__file__).resolve().parents[1]


def prepare(seed: int, num_steps: int) -> Job:
    torch.manual_seed(seed)
    network = nn.Linear(2, 2)
    return Job(
        network,
        torch.optim.SGD(network.parameters(), lr=0.1),
        lambda batch_size, generator: {"x": torch.randn(batch_size, 2, generator=generator)},
        lambda batch: {"loss": network(batch["x"]).square().mean()},
        sample=lambda weights: torch.zeros(1, 3, 4, 4),
        measure=lambda weights: {"psnr": 30.0},
    )


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A recipe that takes no time, listed beside the real ones; and a folder to write in."""
    toy = SimpleNamespace(RECIPE=Recipe("toy", 4, 6, prepare))
    monkeypatch.setitem(sys.modules, "toy_recipe", toy)
    monkeypatch.setitem(cli.RECIPES, "toy", "toy_recipe")
    monkeypatch.chdir(tmp_path)


def failure(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said about a command line that must be refused with status 2."""
    try:
        status = cli.main(words)
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    return capsys.readouterr().err


def test_training_a_recipe_writes_to_a_folder_of_its_name(capsys):
    assert cli.main(["train", "toy"]) == 0
    assert Path("runs/toy/last.pt").exists()
    assert capsys.readouterr().out == "toy: 4 steps, psnr 30\n"


def test_what_is_asked_for_is_done():
    words = "train toy --out here --steps 6 --log-every 2 --sample-every 3 --checkpoint-every 4"
    assert cli.main([*words.split(), "--seed", "5", "--batch-size", "9"]) == 0
    assert [row["step"] for row in read(Path("here/log.jsonl"))[:-1]] == [2, 4, 6]
    assert [path.stem for path in sorted(Path("here/samples").iterdir())] == [
        "step-000003",
        "step-000006",
    ]
    settings = Path("here/settings.json").read_text()
    assert '"seed": 5' in settings and '"batch_size": 9' in settings


def test_a_seed_of_zero_is_a_seed():
    assert cli.main(["train", "toy", "--seed", "0"]) == 0


def test_an_unknown_recipe_is_answered_with_the_nearest(capsys):
    assert "got 'vea'. Did you mean 'vae'?" in failure(["train", "vea"], capsys)


@pytest.mark.parametrize("number", ["0", "-3", "1.5", "many"])
@pytest.mark.parametrize(
    "option", ["--steps", "--batch-size", "--log-every", "--sample-every", "--checkpoint-every"]
)
def test_a_count_below_one_is_refused(option, number, capsys):
    said = failure(["train", "toy", option, number], capsys)
    assert f"argument {option}: expected a whole number ≥ 1, got '{number}'" in said


def test_a_negative_seed_is_refused(capsys):
    assert "argument --seed: expected a whole number" in failure(
        ["train", "toy", "--seed", "-1"], capsys
    )


def test_an_unknown_precision_is_refused(capsys):
    assert "invalid choice: 'f8'" in failure(["train", "toy", "--mixed-precision", "f8"], capsys)


def test_a_folder_with_another_training_is_refused_in_a_sentence(capsys):
    cli.main(["train", "toy"])
    said = failure(["train", "toy", "--steps", "5"], capsys)
    assert said.endswith(
        "edudiff train: error: runs/toy: holds a training with other settings (num_steps: "
        "expected 4, got 5). Ask for the same to resume it, or choose another folder.\n"
    )


def test_a_folder_that_cannot_be_written_to_is_said(capsys):
    Path("here").write_text("a file")
    assert cli.main(["train", "toy", "--out", "here"]) == 1
    assert "edudiff train: error: " in capsys.readouterr().err


def test_an_interruption_says_that_the_same_command_goes_on(monkeypatch, capsys):
    def interrupt(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train_model", interrupt)
    assert cli.main(["train", "toy"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def shipped(monkeypatch: pytest.MonkeyPatch, measure: object) -> None:
    """Let the toy recipe have shipped weights, measured by that."""
    toy = SimpleNamespace(RECIPE=SimpleNamespace(measure_shipped=measure))
    monkeypatch.setitem(sys.modules, "toy_recipe", toy)


def test_shipped_weights_are_measured_without_training(monkeypatch, capsys):
    shipped(monkeypatch, lambda: {"psnr": 30.0, "kept": 0.97346})
    assert cli.main(["train", "toy", "--evaluate"]) == 0
    assert capsys.readouterr().out == "toy: shipped weights, psnr 30, kept 0.9735\n"
    assert list(Path().iterdir()) == []


def test_without_shipped_weights_there_is_nothing_to_measure(monkeypatch, capsys):
    shipped(monkeypatch, None)
    said = failure(["train", "toy", "--evaluate"], capsys)
    assert "toy: expected shipped weights to measure, got none" in said


@pytest.mark.parametrize(
    "words", ["--steps 3", "--batch-size 3", "--out here", "--log-every 2", "--checkpoint-every 2"]
)
def test_measuring_takes_no_options_of_training(words, monkeypatch, capsys):
    shipped(monkeypatch, lambda: {"psnr": 30.0})
    said = failure(["train", "toy", "--evaluate", *words.split()], capsys)
    assert f"{words.split()[0]}: expected nothing beside --evaluate" in said


def test_an_interruption_of_another_command_promises_nothing(monkeypatch, capsys):
    def interrupt(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.doctor, "run", interrupt)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "\nedudiff: interrupted\n"


@pytest.mark.parametrize(
    "words, part",
    [
        (["--help"], "train"),
        (["--help"], "generate"),
        (["--help"], "doctor"),
        (["--help"], "demo"),
        (["demo", "--help"], "pip install gradio"),
        (["generate", "--help"], "--all-resolutions"),
        (["train", "--help"], "what to train: vae"),
        (["generate", "--help"], "--guidance"),
    ],
)
def test_help_names_what_there_is(words, part, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(words)
    assert exit.value.code == 0
    assert part in capsys.readouterr().out


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"edudiff {cli.edudiff.__version__}\n"


def test_help_comes_without_loading_what_trains_and_draws():
    heavy = "{'accelerate', 'diffusers', 'gradio'} & {*sys.modules}"
    code = f"import sys, edudiff.cli as c; c.make_parser(); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_console_command_is_this_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"edudiff": "edudiff.cli:main"}


@pytest.mark.parametrize("name", sorted(cli.RECIPES))
def test_every_recipe_in_the_table_is_there_under_its_name(name):
    recipe = cli.importlib.import_module(cli.RECIPES[name]).RECIPE
    assert isinstance(recipe, Recipe)
    assert recipe.name == name
