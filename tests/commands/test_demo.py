import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edudiff import checkpoints, cli
from edudiff.commands import demo
from edudiff.display.encode import to_image
from edudiff.pipelines import matryoshka, matryoshka_folder, text_to_image

PROMPT = "a red circle left of a blue square"


@pytest.fixture(autouse=True)
def located(
    pipeline: Path, nested_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, str]]:
    """Draw with random weights; which were asked for comes out."""
    asked = []
    folders = {"stable-diffusion": pipeline, "matryoshka": nested_folder}

    def locate(name, size):
        asked.append((name, size))
        return folders[name]

    monkeypatch.setattr(checkpoints, "locate", locate)
    demo.loaded.cache_clear()
    yield asked
    demo.loaded.cache_clear()


def shrunk(image: Image.Image, side: int) -> bytes:
    """The picture of that side whose pixels are squares of equal colour in the larger one."""
    times = image.width // side
    array = np.array(image)
    small = array[::times, ::times]
    assert np.array_equal(small.repeat(times, 0).repeat(times, 1), array)
    return small.tobytes()


def test_pictures_of_all_resolutions_are_the_pipeline_s_enlarged_alike(nested_folder):
    drawn = demo.draw("matryoshka", PROMPT, 4, 2.0, 3)
    expected = matryoshka.generate(
        matryoshka_folder.load(nested_folder),
        [PROMPT],
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=4,
        guidance_scale=2.0,
    )
    assert [words for _, words in drawn] == ["8 × 8 pixels", "4 × 4 pixels"]
    assert [image.size for image, _ in drawn] == [(256, 256), (256, 256)]
    for (image, _), level in zip(drawn, expected, strict=True):
        assert shrunk(image, level.shape[-1]) == to_image(level[0]).tobytes()


def test_a_model_of_one_resolution_gives_one_picture(pipeline):
    ((image, words),) = demo.draw("stable-diffusion", PROMPT, 2, 3, 0)
    expected = text_to_image.generate(
        text_to_image.load(pipeline),
        [PROMPT],
        generator=torch.Generator().manual_seed(0),
        num_inference_steps=2,
        guidance_scale=3.0,
    )
    assert words == "32 × 32 pixels"
    assert shrunk(image, 32) == to_image(expected[0]).tobytes()


@pytest.mark.parametrize(
    "changed", [{"steps": 3}, {"guidance": 1.0}, {"seed": 1}, {"prompt": "a big green star"}]
)
def test_every_field_changes_the_pictures(changed):
    fields = {"model": "matryoshka", "prompt": PROMPT, "steps": 2, "guidance": 3.0, "seed": 0}
    before, after = demo.draw(**fields), demo.draw(**fields | changed)
    assert before[0][0].tobytes() != after[0][0].tobytes()


def test_every_step_is_told():
    told = []
    demo.draw("matryoshka", PROMPT, 3, 3.0, 0, after_step=told.append)
    assert told == [1, 2, 3]


def test_a_model_is_loaded_once(located):
    for seed in (0, 1):
        demo.draw("matryoshka", PROMPT, 1, 3.0, seed, size="tiny")
    assert located == [("matryoshka", "tiny")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "dream"}, "unknown model: expected one of"),
        ({"prompt": " "}, "prompt: expected some words, got ' '"),
        (
            {"prompt": f"{PROMPT} a big green star"},
            "expected at most 10 tokens, got 12; too long by 'green star'",
        ),
        ({"steps": 0}, "steps: expected a whole number ≥ 1, got 0"),
        ({"steps": 1001}, "num_inference_steps: expected .*1000.*, got 1001"),
        ({"guidance": -1}, "guidance_scale: expected a finite number ≥ 0"),
        ({"seed": -1}, "seed: expected a whole number ≥ 0, got -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changed, message, refusal):
    fields = {"model": "matryoshka", "prompt": PROMPT, "steps": 2, "guidance": 3.0, "seed": 0}
    with refusal(message):
        demo.draw(**fields | changed)


def test_without_gradio_it_is_said_how_to_install_it(monkeypatch, capsys, located):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["demo"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("edudiff demo: error: gradio: expected it to be installed, got none")
    assert "pip install gradio" in said and 'pip install "edudiff[demo]"' in said
    assert located == []


def test_what_gradio_itself_misses_is_not_taken_for_gradio(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

    monkeypatch.setattr(demo.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="pandas"):
        demo.need_gradio()


@pytest.fixture
def page():
    """The real page, served by the real Gradio, as a programme that asks it."""
    pytest.importorskip("gradio", reason="gradio is optional")
    client = pytest.importorskip("gradio_client")
    made = demo.make_page("matryoshka", "tiny")
    _, address, _ = made.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield client.Client(address, verbose=False)
    made.close()


def test_the_page_shows_what_was_drawn(page, located):
    shown, sizes = page.predict("matryoshka", PROMPT, 3, 2.0, 5, api_name="/draw")
    expected = demo.draw("matryoshka", PROMPT, 3, 2.0, 5, size="tiny")
    assert sizes == "8 × 8 pixels · 4 × 4 pixels"
    for item, (image, _) in zip(shown, expected, strict=True):
        assert Image.open(item["image"]).convert("RGB").tobytes() == image.tobytes()
    assert located == [("matryoshka", "tiny")]


def test_the_page_says_what_is_wrong_with_what_was_asked(page):
    with pytest.raises(Exception, match="prompt: expected some words"):
        page.predict("matryoshka", " ", 3, 2.0, 5, api_name="/draw")
