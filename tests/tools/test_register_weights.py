import json
from pathlib import Path

import pytest

import register_weights
from edudiff.checkpoints import registry


def weights(root: Path, name: str, content: bytes = b"weights") -> Path:
    folder = root / "weights" / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_every_folder_is_described(tmp_path):
    for name in ("tiny-clip", "tiny-vae"):
        weights(tmp_path, name)
    register_weights.register(tmp_path)
    assert list(registry.read_table(tmp_path)) == ["tiny-clip", "tiny-vae"]
    assert registry.path("tiny-vae", root=tmp_path).is_dir()


def test_the_table_that_comes_out_is_the_one_written(tmp_path):
    weights(tmp_path, "tiny-vae")
    table = register_weights.register(tmp_path)
    assert table == json.loads((tmp_path / "registry.json").read_text())


def test_a_folder_that_has_gone_is_forgotten(tmp_path):
    (tmp_path / "registry.json").write_text('{"old": {}}')
    weights(tmp_path, "new")
    assert list(register_weights.register(tmp_path)) == ["new"]


def test_no_weights_make_an_empty_table(tmp_path):
    assert register_weights.register(tmp_path) == {}


def test_a_folder_without_weights_is_refused(tmp_path, refusal):
    (tmp_path / "weights" / "empty").mkdir(parents=True)
    with refusal("empty: expected a .safetensors file in it, got none"):
        register_weights.register(tmp_path)


def test_weights_too_large_to_ship_are_refused_and_not_written_down(tmp_path, monkeypatch, refusal):
    monkeypatch.setattr(register_weights, "LARGEST", 100)
    weights(tmp_path, "huge", bytes(101))
    with refusal("weights: expected at most 100 bytes, got 101"):
        register_weights.register(tmp_path)
    assert not (tmp_path / "registry.json").exists()


@pytest.mark.parametrize("before, said", [({}, "new"), (None, "as before")])
def test_the_tool_says_what_changed(before, said, tmp_path, monkeypatch, capsys):
    weights(tmp_path, "tiny-vae")
    register_weights.register(tmp_path)
    if before is not None:
        (tmp_path / "registry.json").write_text(json.dumps(before))
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    register_weights.main()
    assert capsys.readouterr().out == f"tiny-vae: {said}\n"


LOG = """{"step": 50, "loss": 2.0, "seconds": 9.5}
{"step": 100, "loss": 1.0, "seconds": 19.0}
{"step": 100, "quality": {"kept": 0.5}}
"""


@pytest.fixture
def finished(tmp_path):
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "samples").mkdir()
    for name in ("model/model.safetensors", "model/config.json", "settings.json"):
        (run / name).write_text(name)
    (run / "log.jsonl").write_text(LOG)
    for step in (100, 200):
        (run / "samples" / f"step-{step:06}.png").write_text(str(step))
    return run


def test_a_finished_training_is_taken_with_its_log_and_its_last_pictures(finished, tmp_path):
    folder = tmp_path / "weights" / "tiny"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("the card")
    register_weights.take([finished], folder)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "README.md": "the card",
        "config.json": "model/config.json",
        "model.safetensors": "model/model.safetensors",
        "samples.png": "200",
        "settings.json": "settings.json",
        "training.jsonl": LOG,
    }


def test_an_unfinished_training_is_not_taken(tmp_path, refusal):
    with refusal("run: expected a finished training with a model in it, got none"):
        register_weights.take([tmp_path / "run"], tmp_path / "weights" / "tiny")


def test_a_training_that_went_on_has_the_logs_of_both_counted_on(finished, tmp_path):
    folder = tmp_path / "weights" / "tiny"
    register_weights.take([finished, finished], folder)
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 100, 100, 150, 200, 200]
    assert ["quality" in line for line in lines] == [False, False, True] * 2
    assert [line["seconds"] for line in lines if "loss" in line] == [9.5, 19.0, 28.5, 38.0]


def test_the_parts_of_a_pipeline_keep_their_folders(finished, tmp_path):
    part = finished / "model" / "unet"
    part.mkdir()
    (part / "config.json").write_text("unet")
    register_weights.take([finished], tmp_path / "weights" / "tiny-sd")
    assert (tmp_path / "weights" / "tiny-sd" / "unet" / "config.json").read_text() == "unet"


def test_one_word_alone_is_not_enough(monkeypatch):
    with pytest.raises(SystemExit, match="expected nothing, or runs and a name"):
        register_weights.main(["tiny-sd"])
