"""How a picture was made, inside its PNG."""

import pytest
from PIL import Image, PngImagePlugin

from edudiff.pipelines.settings import KINDS, read_settings, to_text_chunks

PICTURE = Image.effect_noise((20, 10), 50)
SETTINGS = {
    "prompt": "a red circle\nleft of a blue square",
    "negative_prompt": "",
    "num_inference_steps": 20,
    "guidance_scale": 0.1 + 0.2,
    "seed": 2**63 - 1,
    "sampler": "dpm-solver++",
    "height": 64,
    "width": 96,
    "count": 1,
    "model": "tiny-sd",
    "version": "0.1.0",
}


def written(path, settings):
    PICTURE.save(path, pnginfo=to_text_chunks(settings))
    return path


def test_what_is_written_is_read_again_every_number_to_the_last_bit(tmp_path):
    settings = read_settings(written(tmp_path / "a.png", SETTINGS))
    assert settings == SETTINGS
    assert [type(value) for value in settings.values()] == list(KINDS.values())


@pytest.mark.parametrize(
    "prompt", ["青い四角の左にある赤い円", "a 🔴 left of a 🟦", "café", "=\t\x7f"]
)
def test_prompts_in_every_script_are_kept(prompt, tmp_path):
    path = written(tmp_path / "a.png", {"prompt": prompt})
    assert read_settings(str(path)) == {"prompt": prompt}


def test_any_reader_of_png_finds_them_under_their_names(tmp_path):
    with Image.open(written(tmp_path / "a.png", SETTINGS)) as image:
        assert image.text["prompt"] == SETTINGS["prompt"]
        assert image.text["num_inference_steps"] == "20"
        assert image.tobytes() == PICTURE.tobytes()


def test_other_texts_are_left_out(tmp_path):
    chunks = to_text_chunks({"prompt": "a star"})
    chunks.add_text("Author", "somebody")
    PICTURE.save(tmp_path / "a.png", pnginfo=chunks)
    assert read_settings(tmp_path / "a.png") == {"prompt": "a star"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 3}, "settings: expected names among prompt, .*got 'steps'"),
        ({"seed": 3.0}, "seed: expected int, got 3.0"),
        ({"guidance_scale": 3}, "guidance_scale: expected float, got 3"),
        ({"prompt": None}, "prompt: expected str, got None"),
        ({"count": True}, "count: expected int, got True"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(settings, message, refusal):
    with refusal(message):
        to_text_chunks(settings)


def test_a_picture_without_settings_is_refused(tmp_path, refusal):
    PICTURE.save(tmp_path / "a.png")
    with refusal("a.png: expected settings inside, got a picture without a prompt"):
        read_settings(tmp_path / "a.png")


def test_what_is_no_png_is_refused(tmp_path, refusal):
    PICTURE.save(tmp_path / "a.jpg")
    (tmp_path / "a.png").write_text("no picture")
    with refusal("a.jpg: expected a PNG file, got JPEG"):
        read_settings(tmp_path / "a.jpg")
    with refusal("a.png: expected a PNG file, got no picture"):
        read_settings(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        read_settings(tmp_path / "nowhere.png")


def test_a_number_that_is_none_is_refused(tmp_path, refusal):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("prompt", "a star")
    chunks.add_text("seed", "seven")
    PICTURE.save(tmp_path / "a.png", pnginfo=chunks)
    with refusal("a.png: seed: expected int, got 'seven'"):
        read_settings(tmp_path / "a.png")
