"""`edudiff train lora`: what it is told, and what it says of a folder before it begins."""

import json
from pathlib import Path

import pytest

from edudiff import cli
from edudiff.commands import train_lora
from edudiff.data import captions, drawing, scenes
from edudiff.display.encode import to_image
from edudiff.training import run
from edudiff.training.recipes import lora


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder called pictures, in which one of five is broken."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "pictures"
    root.mkdir()
    rows = []
    for seed in range(5):
        to_image(drawing.draw([scenes.scene(seed)], 64)[0]).save(root / f"{seed}.png")
        text = captions.describe(scenes.scene(seed), seed)
        rows.append(json.dumps({"file_name": f"{seed}.png", "text": text}))
    (root / "metadata.jsonl").write_text("\n".join(rows))
    (root / "3.png").write_bytes(b"")
    return root


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the command would have trained, instead of training it."""
    calls: list[tuple] = []
    monkeypatch.setattr(run, "run", lambda *arguments: calls.append(arguments))
    return calls


def test_what_is_asked_for_decides_the_weights(data, begun):
    words = (
        "train lora --data pictures --rank 4 --targets to_k attn2.to_v --rslora --rate 0.01 "
        "--snr-gamma 0 --prior-weight 2 --licence CC0 --steps 7 --batch-size 2 --seed 3 "
        "--accumulate 2 --recompute"
    )
    assert cli.main([*words.split(), "--prior", "a red star", "a blue star"]) == 0
    ((recipe, out, settings, every, thrift),) = begun
    assert recipe.name == settings.recipe == "lora" and out == Path("runs/lora")
    assert (settings.num_steps, settings.batch_size, settings.seed) == (7, 2, 3)
    assert (settings.rank, settings.lora_alpha, settings.rslora) == (4, 4.0, True)
    assert settings.targets == ["to_k", "attn2.to_v"]
    assert (settings.rate, settings.snr_gamma, settings.prior_weight) == (0.01, 0, 2)
    assert settings.prior == ["a red star", "a blue star"]
    assert (settings.licence, settings.data) == ("CC0", "pictures")
    assert (every.log, every.sample, every.checkpoint) == (10, 100, 50)
    assert (thrift.accumulate, thrift.recompute) == (2, True)


def test_what_is_not_asked_for_is_as_the_recipe_has_it(data, begun):
    assert cli.main("train lora --data pictures --checkpoint-every 5".split()) == 0
    settings, every, thrift = begun[0][2:]
    for name in ("num_steps", "batch_size", "rank", "targets", "rate", "snr_gamma", "prior"):
        assert getattr(settings, name) == getattr(lora.DEFAULTS, name)
    assert (every.log, every.checkpoint) == (10, 5)
    assert (thrift.accumulate, thrift.recompute) == (1, False)


def test_what_is_left_out_of_the_folder_is_named(data, begun, capsys):
    assert cli.main(["train", "lora", "--data", "pictures"]) == 0
    said = capsys.readouterr()
    assert said.err == "pictures: left out 3.png: an empty file\n"
    assert said.out == "pictures: 4 pictures, 1 held out\n"


@pytest.mark.parametrize(
    "words, said",
    [
        ("train lora", "--data: expected a folder with pictures, got none"),
        ("train lora --data nowhere", "nowhere: expected a folder"),
        ("train lora --data pictures --caption-from folder", "--caption-from metadata takes them"),
        ("train lora --data pictures --rate 0", "rate: expected a number above 0"),
        ("train vae --rank 4", "--rank: expected only with `train lora`, got `train vae`"),
        ("train vae --lora-alpha 4", "--lora-alpha: expected only with `train lora`"),
        ("train lora --evaluate", "lora: expected shipped weights to measure, got none"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(words, said, data, begun, capsys):
    assert cli.main(words.split()) == 2
    assert said in capsys.readouterr().err
    assert begun == []


def test_every_word_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    said = capsys.readouterr().out
    for flag in ("--data", "--caption-from", "--base", "--prior", *train_lora.NUMBERS):
        assert flag in said
