import json
import shutil

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from edudiff.pipelines import folder as parts


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def configure(folder, kind=diffusers.DDIMScheduler, **options):
    """Write the scheduler of another pipeline into the folder, and return it."""
    scheduler = kind(**{"clip_sample": False, **options})
    scheduler.save_pretrained(folder / "scheduler")
    return scheduler


def edit(file, **changes):
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**config, **changes}), "utf-8")


def weights_of(folder, part):
    (file,) = (folder / part).glob("*.safetensors")
    return file


def test_a_folder_that_diffusers_wrote_is_let_through(folder):
    parts.check_folder(folder)


def test_each_part_has_the_weights_in_the_folder(folder):
    unet, sample_size = parts.read_unet(folder)
    assert sample_size == 8
    for part, network in (
        ("unet", unet),
        ("vae", parts.read_vae(folder)),
        ("text_encoder", parts.read_text_encoder(folder)),
    ):
        expected = load_file(weights_of(folder, part))
        ours = network.state_dict()
        assert {name.removeprefix("text_model.") for name in expected} == set(ours)
        assert all(
            torch.equal(ours[name.removeprefix("text_model.")], weight)
            for name, weight in expected.items()
        )
        assert not network.training


def test_weights_in_half_precision_are_read_in_float32(copied):
    for part in ("unet", "vae", "text_encoder"):
        file = weights_of(copied, part)
        half = {name: weight.half() for name, weight in load_file(file).items()}
        save_file(half, file, {"format": "pt"})
    edit(copied / "text_encoder" / "config.json", dtype="float16", torch_dtype="float16")
    networks = (parts.read_unet(copied)[0], parts.read_vae(copied), parts.read_text_encoder(copied))
    assert {p.dtype for network in networks for p in network.parameters()} == {torch.float32}


def test_reading_writes_nothing_on_the_screen_and_leaves_progress_bars_as_they_were(folder, capfd):
    logging.enable_progress_bar()
    parts.read_text_encoder(folder)
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()


# The noise


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("zero", [False, True])
def test_the_noise_tables_are_those_of_the_scheduler(copied, beta_schedule, zero):
    theirs = configure(
        copied,
        num_train_timesteps=200,
        beta_start=0.001,
        beta_end=0.03,
        beta_schedule=beta_schedule,
        rescale_betas_zero_snr=zero,
    )
    ours = parts.read_noise(copied)["schedule"].alphas_cumprod
    torch.testing.assert_close(ours.float(), theirs.alphas_cumprod, atol=1e-5, rtol=1e-4)
    assert (ours[-1] == 0) == zero


def test_the_rest_is_read_too(copied):
    options = {"prediction_type": "sample", "timestep_spacing": "linspace", "steps_offset": 1}
    configure(copied, **options)
    noise = parts.read_noise(copied)
    assert (noise["prediction_type"], noise["spacing"], noise["steps_offset"]) == (
        "sample",
        "linspace",
        1,
    )


def test_what_is_not_written_is_as_the_scheduler_has_it(copied):
    file = copied / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({"_class_name": "EulerDiscreteScheduler"}), "utf-8")
    noise, theirs = parts.read_noise(copied), diffusers.EulerDiscreteScheduler()
    torch.testing.assert_close(noise["schedule"].betas.float(), theirs.betas)
    assert (noise["prediction_type"], noise["spacing"]) == ("epsilon", "linspace")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained_betas": [0.1, 0.2]}, r"scheduler: trained_betas: expected None, got \[0.1, 0.2"),
        ({"clip_sample": True}, "scheduler: clip_sample: expected False, got True"),
        ({"thresholding": True}, "scheduler: thresholding: expected False, got True"),
        ({"beta_schedule": "sigmoid"}, "unknown schedule: expected one of .*got 'sigmoid'"),
        ({"prediction_type": "flow"}, "unknown prediction type: expected one of .*got 'flow'"),
        ({"timestep_spacing": "log"}, "unknown timestep spacing: expected one of .*got 'log'"),
        ({"_class_name": "NoScheduler"}, "scheduler: expected one of diffusers'.*'NoScheduler'"),
        ({"_class_name": "UNet2DModel"}, "scheduler: expected one of diffusers'.*'UNet2DModel'"),
    ],
)
def test_noise_that_we_do_not_have_is_refused(copied, changes, message, refusal):
    configure(copied)
    edit(copied / "scheduler" / "scheduler_config.json", **changes)
    with refusal(message):
        parts.read_noise(copied)


@pytest.mark.parametrize(
    "option",
    ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_flow_sigmas"],
)
def test_other_spacings_of_sigma_are_refused(copied, option, refusal):
    edit(copied / "scheduler" / "scheduler_config.json", **{option: True})
    with refusal(f"scheduler: {option}: expected False, got True"):
        parts.read_noise(copied)


# What is no pipeline


def test_no_folder_is_refused(tmp_path, refusal):
    with refusal("folder: expected a diffusers pipeline, got no folder '.*nowhere'"):
        parts.check_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("model_index.json", "model_index.json"),
        ("unet", r"unet/config.json, unet/\*.safetensors"),
        ("vae/config.json", "vae/config.json"),
        ("vae/diffusion_pytorch_model.safetensors", r"vae/\*.safetensors"),
        ("text_encoder/model.safetensors", r"text_encoder/\*.safetensors"),
        ("tokenizer", r"tokenizer/\*.json"),
        ("scheduler/scheduler_config.json", "scheduler/scheduler_config.json"),
    ],
)
def test_what_is_missing_is_named(copied, missing, named, refusal):
    path = copied / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with refusal(f"folder: expected a diffusers pipeline, got '.*' without {named}$"):
        parts.check_folder(copied)


def test_all_that_is_missing_is_named(tmp_path, refusal):
    with refusal(r"without model_index.json, unet/config.json, .*scheduler/scheduler_config.json"):
        parts.check_folder(tmp_path)


def test_another_kind_of_pipeline_is_refused(copied, refusal):
    edit(copied / "model_index.json", _class_name="StableDiffusionXLPipeline")
    with refusal("expected a StableDiffusionPipeline, got a StableDiffusionXLPipeline"):
        parts.check_folder(copied)


# Weights that are not what they should be

READERS = {
    "unet": parts.read_unet,
    "vae": parts.read_vae,
    "text_encoder": parts.read_text_encoder,
}


@pytest.mark.parametrize("part", READERS)
def test_a_part_without_some_of_its_weights_is_refused(copied, part, refusal):
    file = weights_of(copied, part)
    weights = load_file(file)
    del weights[sorted(weights)[0]]
    save_file(weights, file, {"format": "pt"})
    with refusal(f"{part}: expected"):
        READERS[part](copied)


@pytest.mark.parametrize("part", READERS)
def test_a_file_that_was_cut_short_is_refused(copied, part, refusal):
    file = weights_of(copied, part)
    file.write_bytes(file.read_bytes()[:2000])
    with refusal(f"{part}: expected weights that can be read, got"):
        READERS[part](copied)


def test_a_network_that_ours_cannot_be_is_refused_with_its_part(copied, refusal):
    edit(copied / "vae" / "config.json", shift_factor=0.1)
    with refusal("vae: shift_factor: expected None, got 0.1"):
        parts.read_vae(copied)
