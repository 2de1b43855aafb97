"""Folders of pictures for LoRA, the bad ones above all."""

import json
from pathlib import Path

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes
from edudiff.data.folder import Example
from edudiff.display.encode import to_image
from edudiff.pipelines import starts, text_to_image
from edudiff.training.recipes import lora_pictures
from edudiff.training.recipes.lora_pictures import Pictures, open_pictures


@pytest.fixture(scope="module")
def pipe() -> text_to_image.TextToImage:
    return text_to_image.load(registry.path("tiny-sd"))


def write(root: Path, count: int, *, size: int = 64) -> list[str]:
    """A folder with so many scenes and their captions."""
    root.mkdir(parents=True, exist_ok=True)
    told = [captions.describe(scenes.scene(seed), seed) for seed in range(count)]
    for k in range(count):
        to_image(drawing.draw([scenes.scene(k)], size)[0]).save(root / f"{k:03}.png")
    rows = [{"file_name": f"{k:03}.png", "text": text} for k, text in enumerate(told)]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return told


def test_captions_come_from_the_metadata(tmp_path):
    told = write(tmp_path, 3)
    found = open_pictures(tmp_path)
    assert found.captions == tuple(told)
    assert found.names == ["000.png", "001.png", "002.png"]
    assert found.problems == ()


def test_or_from_the_folders_with_spaces(tmp_path):
    write(tmp_path / "a_dotted-star", 2)
    (tmp_path / "a_dotted-star" / "metadata.jsonl").unlink()
    found = open_pictures(tmp_path, "folder")
    assert found.captions == ("a dotted star",) * 2


def test_a_picture_without_a_caption_is_left_out_by_name(tmp_path):
    write(tmp_path / "a star", 2)
    (tmp_path / "a star" / "metadata.jsonl").unlink()
    (tmp_path / "a star" / "001.png").rename(tmp_path / "alone.png")
    found = open_pictures(tmp_path, "folder")
    assert found.names == ["a star/000.png"]
    assert [str(p) for p in found.problems] == [
        "alone.png: no caption: it lies in no folder of its own"
    ]


def test_so_is_one_corrupt_picture_among_a_hundred(tmp_path):
    write(tmp_path, 100, size=16)
    path = tmp_path / "042.png"
    path.write_bytes(path.read_bytes()[:60])
    found = open_pictures(tmp_path)
    assert "042.png" not in found.names
    problems = {problem.name: problem.reason for problem in found.problems}
    assert problems["042.png"].startswith("broken")
    assert len(found) + len(problems) == 100


def test_missing_captions_are_named_by_their_lines(tmp_path):
    write(tmp_path, 4)
    lines = (tmp_path / "metadata.jsonl").read_text().splitlines()
    lines[2] = json.dumps({"file_name": "002.png", "text": " "})
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    found = open_pictures(tmp_path)
    assert len(found) == 3
    assert "line 3: expected words in 'text'" in str(found.problems[0])


@pytest.mark.parametrize("caption_from", ["metadata", "folder"])
def test_an_empty_folder_is_refused(caption_from, tmp_path, refusal):
    with refusal("expected at least one picture, got nothing"):
        open_pictures(tmp_path, caption_from)


def test_captions_from_where_there_are_none_are_refused(tmp_path, refusal):
    write(tmp_path / "with", 2)
    with refusal("captions from the folder, got captions in metadata.jsonl; --caption-from meta"):
        open_pictures(tmp_path / "with", "folder")
    with refusal("captions from the metadata, got no metadata.jsonl; --caption-from folder"):
        open_pictures(tmp_path, "metadata")
    with refusal("unknown caption_from"):
        open_pictures(tmp_path / "with", "names")
    (tmp_path / "with" / "metadata.jsonl").unlink()
    with refusal("expected a picture with a caption, got 000.png: no caption"):
        open_pictures(tmp_path / "with", "folder")


@pytest.mark.parametrize(
    "count, places", [(1, []), (3, []), (4, [2]), (8, [4]), (20, [5, 15]), (30, [5, 15, 25])]
)
def test_one_in_ten_is_held_out_and_of_few_none(count, places):
    root = Path("pictures")
    examples = tuple(Example(root / f"{k}.png") for k in range(count))
    assert Pictures(root, examples, ("a star",) * count).held_out() == places


def test_another_caption_or_picture_gives_another_fingerprint(tmp_path):
    write(tmp_path, 3)
    first = open_pictures(tmp_path).fingerprint()
    assert open_pictures(tmp_path).fingerprint() == first
    text = (tmp_path / "metadata.jsonl").read_text()
    (tmp_path / "metadata.jsonl").write_text(text.replace('"text": "', '"text": "look, ', 1))
    second = open_pictures(tmp_path).fingerprint()
    (tmp_path / "metadata.jsonl").write_text(text)
    to_image(torch.zeros(3, 8, 8)).save(tmp_path / "001.png")
    assert len({first, second, open_pictures(tmp_path).fingerprint()}) == 3


def test_latents_are_those_of_the_pictures_at_the_size_of_the_base(pipe, tmp_path):
    write(tmp_path, 3, size=128)
    found = lora_pictures.latents_of(pipe, open_pictures(tmp_path))
    small = torch.stack(
        [lora_pictures.folder.load(e, 64) for e in open_pictures(tmp_path).examples]
    )
    torch.testing.assert_close(found, starts.encode(pipe, small), atol=1e-4, rtol=1e-4)


def test_a_picture_that_vanishes_is_named(pipe, tmp_path, refusal):
    write(tmp_path, 3)
    pictures = open_pictures(tmp_path)
    (tmp_path / "001.png").unlink()
    with refusal("001.png: expected a picture"):
        lora_pictures.latents_of(pipe, pictures)


def test_latents_that_are_not_finite_are_named(pipe, tmp_path, monkeypatch, refusal):
    write(tmp_path, 2)

    def broken(pipe: object, picture: torch.Tensor) -> torch.Tensor:
        raise ValueError("vae: expected finite latents, got infinity or NaN")

    monkeypatch.setattr(lora_pictures, "encode_pictures", broken)
    with refusal("000.png: vae: expected finite latents"):
        lora_pictures.latents_of(pipe, open_pictures(tmp_path))


def test_text_states_are_those_of_the_text_encoder(pipe):
    texts = ["", *(f"a {colour} star" for colour in ("red", "blue", "green"))] * 3
    found = lora_pictures.contexts_of(pipe, texts)
    expected = lora_pictures.encode(texts, pipe.tokenizer, pipe.text_encoder)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_caption_that_is_too_long_is_named(pipe, refusal):
    with refusal(r"captions\[1\]: expected at most 22 tokens"):
        lora_pictures.contexts_of(pipe, ["a star", "a red star and " * 20])
