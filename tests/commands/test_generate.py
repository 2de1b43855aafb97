import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import edudiff
from edudiff import checkpoints, cli
from edudiff.checkpoints import registry
from edudiff.checkpoints.table import MODELS
from edudiff.commands import picture_file
from edudiff.display.encode import to_image
from edudiff.display.figures import grid
from edudiff.evaluation import oracle
from edudiff.pipelines import (
    flow_folder,
    flow_to_image,
    matryoshka,
    matryoshka_folder,
    text_to_image,
    text_to_image_xl,
)
from edudiff.pipelines.settings import read_settings
from edudiff.training.recipes import tiny_dit, xl_quality
from edudiff.training.recipes.tiny_mdm import GUIDANCE_SCALE, NUM_STEPS

PROMPT = "a red circle left of a blue square"


@pytest.fixture(autouse=True)
def located(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Draw with random weights, in an empty folder; which weights were asked for comes out."""
    asked = []

    def locate(*arguments):
        asked.append(arguments)
        return pipeline

    monkeypatch.setattr(checkpoints, "locate", locate)
    monkeypatch.chdir(tmp_path)
    return asked


def pixels(path: str) -> bytes:
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def drawn(*words: str) -> bytes:
    assert cli.main(["generate", PROMPT, "--steps", "3", "--out", "x.png", *words]) == 0
    return pixels("x.png")


def refused(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said about words that must be refused with status 2, leaving nothing behind."""
    try:
        status = cli.main(["generate", *words])
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    assert list(Path().iterdir()) == []
    return capsys.readouterr().err


def test_the_picture_is_the_pipeline_s(pipeline):
    pictures = text_to_image.generate(
        text_to_image.load(pipeline),
        [PROMPT],
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=4,
        guidance_scale=2.0,
        negative_prompts=["a big green star"],
        sampler="euler",
    )
    words = "--steps 4 --guidance 2 --seed 3 --sampler euler --negative".split()
    assert drawn(*words, "a big green star") == to_image(pictures[0]).tobytes()


def test_it_says_what_it_wrote_and_shows_how_far_it_is(capsys):
    drawn()
    out, err = capsys.readouterr()
    assert out.startswith("x.png: 32 × 32 pixels, ")
    assert "drawing: 100%" in err and "3/3" in err


def test_the_same_words_draw_the_same_picture():
    assert drawn("--seed", "5") == drawn("--seed", "5") != drawn("--seed", "6")


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "2"],
        ["--guidance", "1"],
        ["--sampler", "ddim"],
        ["--negative", "a big green star"],
        ["--height", "48"],
        ["--width", "24"],
    ],
)
def test_every_option_changes_the_picture(words):
    assert drawn(*words) != drawn()


def test_height_and_width_are_the_picture_s(capsys):
    drawn("--height", "24", "--width", "48")
    with Image.open("x.png") as image:
        assert image.size == (48, 24)
    assert "x.png: 48 × 24 pixels" in capsys.readouterr().out


def test_a_height_that_the_networks_cannot_halve_is_refused(capsys):
    said = refused(PROMPT, "--height", "20", capsys=capsys)
    assert "height: expected a multiple of 8, as vae and unet need, got 20" in said


def test_a_png_holds_what_was_asked_for(pipeline):
    words = "--steps 4 --guidance 2.5 --seed 3 --sampler euler --count 2 --width 48 --negative"
    drawn(*words.split(), "blue")
    assert picture_file.read_settings("x.png") == {
        "prompt": PROMPT,
        "negative_prompt": "blue",
        "num_inference_steps": 4,
        "guidance_scale": 2.5,
        "seed": 3,
        "sampler": "euler",
        "height": 32,
        "width": 48,
        "count": 2,
        "model": pipeline.name,
        "version": edudiff.__version__,
    }


@pytest.mark.parametrize("words", [[], ["--sampler", "ddpm", "--width", "48", "--count", "3"]])
def test_a_picture_can_be_made_again_from_what_its_file_says(pipeline, words):
    before = drawn("--seed", "11", "--negative", "a big green star", *words)
    said = read_settings("x.png")
    # one at a time, as the command draws with a model that is not a shipped one
    generator = torch.Generator().manual_seed(said["seed"])
    pictures = [
        text_to_image.generate(
            text_to_image.load(pipeline),
            [said["prompt"]],
            generator=generator,
            negative_prompts=[said["negative_prompt"]],
            **{
                name: said[name]
                for name in (
                    "num_inference_steps",
                    "guidance_scale",
                    "sampler",
                    "height",
                    "width",
                )
            },
        )[0]
        for _ in range(said["count"])
    ]
    image = to_image(pictures[0]) if len(pictures) == 1 else grid(pictures)
    assert image.convert("RGB").tobytes() == before


def test_several_pictures_come_as_a_grid_that_begins_with_the_first():
    first = drawn()
    with Image.open("x.png") as image:
        width, height = image.size
    drawn("--count", "3")
    with Image.open("x.png") as image:
        assert image.size == (2 * width + 1, 2 * height + 1)
        assert image.convert("RGB").crop((0, 0, width, height)).tobytes() == first


def test_many_pictures_are_drawn_a_few_at_a_time_and_none_is_missing(capsys):
    drawn("--count", "5", "--steps", "1")  # one at a time, as it is not a shipped model
    assert "5/5" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["auto", "tiny", "full"])
def test_the_size_decides_the_weights(size, located):
    drawn("--size", size)
    assert located == [("stable-diffusion", size)]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler", "euler-ancestral", "heun"])
def test_every_sampler_draws(sampler):
    drawn("--sampler", sampler)


@pytest.mark.parametrize("name", ["x.jpg", "x.webp"])
def test_other_formats_are_written_too(name):
    assert cli.main(["generate", PROMPT, "--steps", "1", "--count", "2", "--out", name]) == 0
    with Image.open(name) as image:
        assert image.size == (65, 32)


def test_nothing_is_loaded_for_what_is_refused_at_once(located, capsys):
    refused("", capsys=capsys)
    refused(PROMPT, "--sampler", "eular", capsys=capsys)
    refused(PROMPT, "--out", "x.txt", capsys=capsys)
    assert located == []


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_empty_prompt_is_refused(prompt, capsys):
    assert f"prompt: expected some words, got {prompt!r}" in refused(prompt, capsys=capsys)


def test_of_a_prompt_that_is_too_long_the_words_to_cut_are_named(capsys):
    said = refused(f"{PROMPT} a big green star", capsys=capsys)
    assert "expected at most 10 tokens, got 12" in said
    assert "'green star'" in said


@pytest.mark.parametrize("steps", ["0", "-1", "many"])
def test_no_steps_at_all_are_refused(steps, capsys):
    said = refused(PROMPT, "--steps", steps, capsys=capsys)
    assert f"argument --steps: expected a whole number ≥ 1, got '{steps}'" in said


def test_more_steps_than_there_are_timesteps_are_refused(capsys):
    said = refused(PROMPT, "--steps", "1001", capsys=capsys)
    assert "num_inference_steps" in said and "1000" in said and "1001" in said


@pytest.mark.parametrize("guidance", ["-1", "nan"])
def test_negative_guidance_is_refused(guidance, capsys):
    said = refused(PROMPT, f"--guidance={guidance}", capsys=capsys)
    assert f"argument --guidance: expected a number ≥ 0, got '{guidance}'" in said


def test_an_unknown_sampler_is_answered_with_the_nearest(capsys):
    said = refused(PROMPT, "--sampler", "eular", capsys=capsys)
    assert "unknown sampler: expected one of" in said and "Did you mean 'euler'?" in said


def test_an_unknown_size_is_refused(capsys):
    assert "invalid choice: 'huge'" in refused(PROMPT, "--size", "huge", capsys=capsys)


@pytest.mark.parametrize("out", ["x.txt", ".", "nowhere/x.png"])
def test_a_file_that_cannot_be_is_refused(out, capsys):
    assert "--out: expected" in refused(PROMPT, "--out", out, capsys=capsys)


def test_weights_that_cannot_be_had_are_an_error_in_a_sentence(monkeypatch, capsys):
    def locate(*arguments):
        raise ConnectionError("stable-diffusion: the hub cannot be reached")

    monkeypatch.setattr(checkpoints, "locate", locate)
    assert cli.main(["generate", PROMPT, "--size", "full"]) == 1
    said = capsys.readouterr().err
    assert said == "edudiff generate: error: stable-diffusion: the hub cannot be reached\n"
    assert list(Path().iterdir()) == []


def test_an_interruption_leaves_nothing(monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(text_to_image, "decode", interrupt)
    assert cli.main(["generate", PROMPT, "--steps", "1", "--out", "x.png"]) == 130
    assert capsys.readouterr().err.endswith("edudiff: interrupted\n")
    assert list(Path().iterdir()) == []


ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from edudiff import checkpoints, cli
checkpoints.locate = lambda *arguments: Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
sys.exit(cli.main(["generate", "a big green star", "--steps", "1", "--out", "x.png"]))
"""


def test_a_file_that_does_not_fit_is_not_written_in_part(pipeline, tmp_path):
    (tmp_path / "x.png").write_text("an older picture")
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(pipeline)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "edudiff generate: error: x.png: File too large. Nothing was written." in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an older picture"]


@pytest.fixture
def nested(nested_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the weights found be those of a Matryoshka for 8 and 4 pixels."""
    monkeypatch.setattr(checkpoints, "locate", lambda *arguments: nested_folder)
    return nested_folder


def levels_of(folder: Path, count: int = 1, **options) -> list[torch.Tensor]:
    """What the pipeline draws by itself: batches, high to low."""
    generator = torch.Generator().manual_seed(3)
    pipe = matryoshka_folder.load(folder)
    each = [
        matryoshka.generate(pipe, [PROMPT], generator=generator, **options) for _ in range(count)
    ]
    return [torch.cat(level) for level in zip(*each, strict=True)]


NESTED = ["--model", "matryoshka", "--seed", "3"]


def test_matryoshka_writes_the_highest_resolution(nested, capsys):
    options = {"num_inference_steps": 4, "guidance_scale": 2.0, "negative_prompts": ["a big star"]}
    words = [*NESTED, "--steps", "4", "--guidance", "2", "--negative", "a big star"]
    assert drawn(*words) == to_image(levels_of(nested, **options)[0][0]).tobytes()
    out, err = capsys.readouterr()
    assert out.startswith("x.png: 8 × 8 pixels, ")
    assert "drawing: 100%" in err and "4/4" in err


def test_all_resolutions_stand_side_by_side_a_row_for_each_picture(nested):
    options = {"num_inference_steps": 3, "guidance_scale": 3.0}
    high, low = levels_of(nested, 2, **options)
    drawn(*NESTED, "--count", "2", "--all-resolutions")
    found = np.array(Image.open("x.png").convert("RGB"))
    assert found.shape == (2 * 8 + 1, 2 * 8 + 1, 3)
    for i, top in enumerate((0, 9)):
        expected = [np.array(to_image(level[i])) for level in (high, low)]
        assert np.array_equal(found[top : top + 8, :8], expected[0])
        assert np.array_equal(found[top : top + 8 : 2, 9::2], expected[1])
        assert np.array_equal(found[top + 1 : top + 8 : 2, 10::2], expected[1])


def test_a_png_of_matryoshka_holds_what_was_asked_for_and_no_sampler(nested):
    drawn(*NESTED, "--guidance", "2.5", "--all-resolutions")
    assert read_settings("x.png") == {
        "prompt": PROMPT,
        "negative_prompt": "",
        "num_inference_steps": 3,
        "guidance_scale": 2.5,
        "seed": 3,
        "height": 8,
        "width": 8,
        "count": 1,
        "model": nested.name,
        "version": edudiff.__version__,
    }


def test_what_is_not_said_is_as_the_model_was_measured_with(nested):
    drawn(*NESTED)
    assert read_settings("x.png")["guidance_scale"] == GUIDANCE_SCALE
    assert cli.main(["generate", PROMPT, "--model", "matryoshka", "--out", "x.png"]) == 0
    assert read_settings("x.png")["num_inference_steps"] == NUM_STEPS


@pytest.mark.parametrize("model", ["matryoshka", "stable-diffusion-3"])
@pytest.mark.parametrize(
    ("flag", "value"), [("--sampler", "euler"), ("--height", "32"), ("--width", "32")]
)
def test_what_a_model_does_not_have_is_refused_by_naming_what_it_has(model, flag, value, capsys):
    said = refused(PROMPT, "--model", model, flag, value, capsys=capsys)
    assert f"{flag}: expected none with {model}, got" in said
    assert "it has --negative, --steps, --guidance" in said


def test_full_size_weights_that_nobody_publishes_are_refused_by_saying_why(located, capsys):
    said = refused(PROMPT, "--model", "matryoshka", "--size", "full", capsys=capsys)
    assert "--size: expected auto or tiny with matryoshka, got full: Apple publishes" in said
    assert located == []


def test_all_resolutions_of_a_model_with_one_are_refused(capsys):
    said = refused(PROMPT, "--all-resolutions", capsys=capsys)
    assert "--all-resolutions: expected --model matryoshka, got stable-diffusion" in said


def test_an_unknown_model_is_refused(capsys):
    assert "invalid choice: 'dream'" in refused(PROMPT, "--model", "dream", capsys=capsys)


@pytest.mark.parametrize("model", ["stable-diffusion", "sdxl", "stable-diffusion-3", "matryoshka"])
def test_the_model_decides_the_weights(model, located, capsys):
    cli.main(["generate", PROMPT, "--model", model, "--steps", "1", "--size", "tiny"])
    assert located == [(model, "tiny")]  # what was found fits one of them only
    assert (model == "stable-diffusion") == (capsys.readouterr().err.count("error") == 0)


@pytest.mark.parametrize(
    ("model", "weights", "load", "pipeline", "recipe"),
    [
        ("sdxl", "tiny-sdxl", text_to_image_xl.load, text_to_image_xl, xl_quality),
        ("stable-diffusion-3", "tiny-dit", flow_folder.load, flow_to_image, tiny_dit),
    ],
)
def test_the_other_shipped_models_draw_what_their_pipelines_draw(
    model, weights, load, pipeline, recipe, monkeypatch
):
    folder = registry.path(weights)
    monkeypatch.setattr(checkpoints, "locate", lambda *arguments: folder)
    generator = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 3, "guidance_scale": recipe.GUIDANCE_SCALE}
    pictures = pipeline.generate(load(folder), [PROMPT] * 2, generator=generator, **options)
    assert drawn("--model", model, "--count", "2") == grid(pictures).convert("RGB").tobytes()
    assert read_settings("x.png")["model"] == weights


def test_full_size_weights_are_guided_further(pipeline, tmp_path, monkeypatch):
    folder = tmp_path / MODELS["stable-diffusion"].full.revision
    folder.symlink_to(pipeline)
    drawn()
    assert read_settings("x.png")["guidance_scale"] == 2.0
    monkeypatch.setattr(checkpoints, "locate", lambda *arguments: folder)
    strong = drawn()
    assert read_settings("x.png")["guidance_scale"] == 7.5
    assert drawn("--guidance", "7.5") == strong
    drawn("--guidance", "3")
    assert read_settings("x.png")["guidance_scale"] == 3.0


def test_the_shipped_model_draws_on_the_background_and_in_the_colour_of_the_prompt(monkeypatch):
    monkeypatch.setattr(checkpoints, "locate", lambda *arguments: registry.path("tiny-sd"))
    prompt = "a large red square on a light background"
    words = ["generate", prompt, "--count", "4", "--guidance", "3", "--out", "x.png"]
    assert cli.main(words) == 0
    with Image.open("x.png") as image:
        assert image.size == (2 * 64 + 1, 2 * 64 + 1)
        boxes = [(x, y, x + 64, y + 64) for y in (0, 65) for x in (0, 65)]
        arrays = [np.array(image.convert("RGB").crop(box)) for box in boxes]
    pictures = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 127.5 - 1
    verdicts = oracle.judge(pictures, [prompt] * 4)
    assert sum(verdict["background"] for verdict in verdicts) >= 3
    assert sum(verdict["colour"] for verdict in verdicts) >= 2
