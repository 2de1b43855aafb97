"""LoRA files: ours in diffusers' pipeline, and those of diffusers, peft and kohya in ours."""

import errno
import os
from pathlib import Path

import diffusers
import pytest
import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import nn
from torch.testing import assert_close

from edudiff.checkpoints import registry
from edudiff.layers import lora
from edudiff.models import lora_files, unet_bridge
from edudiff.models.unet import UNet
from edudiff.pipelines import text_to_image

OPTIONS = {"alpha": {"lora_alpha": 5.0}, "rslora": {"rslora": True}, "plain": {}}


def make_unet() -> UNet:
    torch.manual_seed(4)
    return UNet(
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        attention_levels=(True, True),
        context_dim=12,
        num_heads=2,
        norm_num_groups=4,
    ).eval()


def learned(unet: nn.Module, adapter: str = "default", std: float = 0.3) -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    for name, weight in lora.lora_parameters(unet, adapter).items():
        if "lora_B" in name:
            weight.data.normal_(std=std, generator=generator)
    return unet


def with_lora(**options: object) -> nn.Module:
    unet = make_unet()
    lora.add_lora(unet, ["to_q", "to_out.0", "conv1", "proj_in"], rank=4, **options)
    return learned(unet)


@torch.no_grad()
def asked(unet: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    answer = unet(x, torch.tensor([3, 700]), torch.randn(2, 5, 12, generator=generator))
    return answer if isinstance(answer, torch.Tensor) else answer.sample


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_what_is_written_is_read_as_it_was(kind, tmp_path):
    there, here = with_lora(**OPTIONS[kind]), make_unet()
    lora_files.save(there, tmp_path, about={"licence": "CC0", "steps": 3})
    file = lora_files.load(here, tmp_path)
    assert torch.equal(asked(here), asked(there))
    assert not torch.equal(asked(here), asked(make_unet()))
    assert (file.about["licence"], file.about["steps"], file.about["rank"]) == ("CC0", 3, 4)
    assert file.about["targets"] == list(lora.lora_layers(there))


@pytest.mark.parametrize("kind", sorted(OPTIONS))
def test_diffusers_unet_answers_as_ours_with_our_file(kind, tmp_path):
    ours, theirs = with_lora(**OPTIONS[kind]), unet_bridge.to_diffusers(make_unet())
    lora_files.save(ours, tmp_path)
    # What `load_lora_weights` does.
    state, alphas, metadata = diffusers.StableDiffusionPipeline.lora_state_dict(
        tmp_path, return_lora_metadata=True
    )
    theirs.load_lora_adapter(state, network_alphas=alphas, metadata=metadata, prefix="unet")
    assert_close(asked(theirs), asked(ours), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"lora_alpha": 6},
        {"use_rslora": True},
        {"rank_pattern": {"to_v": 2}, "alpha_pattern": {"conv2": 3}},
    ],
)
def test_what_diffusers_writes_is_read(options, tmp_path):
    theirs = unet_bridge.to_diffusers(make_unet())
    config = LoraConfig(r=4, target_modules=["to_q", "to_v", "conv2"], **options)
    theirs.add_adapter(config)
    for name, weight in theirs.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.3)
    diffusers.StableDiffusionPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(theirs),
        unet_lora_adapter_metadata=config.to_dict() | {"target_modules": ["to_q", "to_v", "conv2"]},
    )
    ours = make_unet()
    lora_files.load(ours, tmp_path)
    assert_close(asked(ours), asked(theirs), atol=1e-5, rtol=1e-4)


def test_what_peft_writes_is_read(tmp_path):
    from peft import get_peft_model

    theirs = get_peft_model(make_unet(), LoraConfig(r=4, lora_alpha=10, target_modules=["to_k"]))
    for name, weight in theirs.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.3)
    theirs.save_pretrained(tmp_path)
    ours = make_unet()
    lora_files.load(ours, tmp_path)
    assert_close(asked(ours), asked(theirs.base_model.model), atol=1e-5, rtol=1e-4)


def test_kohya_s_layout_is_read_as_it_was_written(tmp_path):
    there, here = with_lora(lora_alpha=2.0), make_unet()
    lora_files.save_kohya(there, tmp_path / "kohya.safetensors")
    keys = set(lora_files.read(tmp_path / "kohya.safetensors").tensors)
    assert "lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight" in keys
    assert "lora_unet_down_blocks_0_resnets_0_conv1.alpha" in keys
    lora_files.load(here, tmp_path / "kohya.safetensors")
    assert_close(asked(here), asked(there), atol=1e-6, rtol=1e-5)


def test_kohya_s_layout_is_kohya_s_as_diffusers_understands_it(tmp_path):
    ours = make_unet()
    lora.add_lora(ours, lora.ATTENTION, rank=4, lora_alpha=2.0)
    lora_files.save_kohya(learned(ours), tmp_path / "kohya.safetensors")
    state, alphas = diffusers.StableDiffusionPipeline.lora_state_dict(
        tmp_path / "kohya.safetensors"
    )
    theirs = unet_bridge.to_diffusers(make_unet())
    theirs.load_lora_adapter(state, network_alphas=alphas, prefix="unet")
    assert_close(asked(theirs), asked(ours), atol=1e-5, rtol=1e-4)


def test_a_text_encoder_s_part_is_read_too(tmp_path):
    text = nn.ModuleDict({"encoder": nn.ModuleDict({"q_proj": nn.Linear(4, 4)})})
    tensors = {
        f"text_encoder.text_model.encoder.q_proj.lora_{letter}.weight": torch.ones(2, 4).view(shape)
        for letter, shape in (("A", (2, 4)), ("B", (4, 2)))
    }
    path = tmp_path / "text.safetensors"
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(ValueError, match="text_encoder: expected to be given, as 1 layers"):
        lora_files.load(make_unet(), path)
    lora_files.load(make_unet(), path, text_encoder=text)
    assert list(lora.lora_layers(text)) == ["encoder.q_proj"]


def test_the_shipped_pipeline_draws_the_same_in_diffusers_with_our_file(tmp_path):
    folder, prompt = registry.path("tiny-sd"), "a red circle left of a blue square"
    ours = text_to_image.load(folder)
    plain = draw(ours, prompt)
    lora.add_lora(ours.unet, lora.ATTENTION, rank=4, lora_alpha=6.0)
    learned(ours.unet, std=0.05)
    lora_files.save(ours.unet, tmp_path, about={"base_model": "tiny-sd"})
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    theirs.set_progress_bar_config(disable=True)
    theirs.load_lora_weights(tmp_path)
    side = ours.size // ours.vae.downsampling_factor
    noise = torch.randn(4, side, side, generator=torch.Generator().manual_seed(3))
    picture = theirs(
        prompt,
        latents=noise[None],
        num_inference_steps=4,
        guidance_scale=3.0,
        output_type="pt",
    ).images[0]
    mine = draw(ours, prompt)
    assert (mine - plain).abs().max() > 0.2
    assert ((mine + 1) / 2 - picture).abs().max() <= 1 / 255


def draw(pipe: text_to_image.TextToImage, prompt: str) -> torch.Tensor:
    options = {"num_inference_steps": 4, "guidance_scale": 3.0}
    generator = torch.Generator().manual_seed(3)
    return text_to_image.generate(pipe, [prompt], generator=generator, **options)[0]


def test_a_lora_for_another_base_says_which_layers_do_not_fit(tmp_path, refusal):
    lora_files.save(with_lora(), tmp_path)
    other = UNet(in_channels=4, out_channels=4, block_out_channels=(8,), norm_num_groups=4)
    with refusal(r"layers do not fit: .*down_blocks.0.* \(there is no such layer here\)"):
        lora_files.load(other, tmp_path)
    assert lora.lora_layers(other) == {}


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    unet = with_lora()
    lora_files.save(unet, tmp_path)
    before = (tmp_path / lora_files.FILE_NAME).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(lora_files.os, "fsync", full)
    lora.set_adapters(unet, {"default": 0.5})
    with pytest.raises(OSError, match="No space left on device. Nothing was written."):
        lora_files.save(unet, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [lora_files.FILE_NAME]
    assert (tmp_path / lora_files.FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("broken", [b"", b"not a safetensors file at all", None])
def test_a_file_that_is_missing_or_broken_is_refused(broken, tmp_path, refusal):
    path = tmp_path / "broken.safetensors"
    if broken is not None:
        path.write_bytes(broken)
    with refusal("broken.safetensors: expected a"):
        lora_files.read(path)


def test_half_a_file_is_refused(tmp_path, refusal):
    path = tmp_path / lora_files.FILE_NAME
    lora_files.save(with_lora(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with refusal("expected a whole safetensors file"):
        lora_files.load(make_unet(), path)


def test_nan_is_not_written(tmp_path, refusal):
    unet = with_lora()
    next(iter(lora.lora_parameters(unet).values())).data.fill_(torch.nan)
    for write in (lora_files.save, lora_files.save_kohya):
        with refusal("lora_A.weight: expected finite numbers"):
            write(unet, tmp_path / "nan.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(tmp_path: Path, refusal):
    with refusal("path: expected a name ending in .safetensors"):
        lora_files.save(with_lora(), tmp_path / "lora.bin")


def test_layers_that_are_scaled_in_two_ways_have_no_common_configuration(refusal):
    unet = with_lora()
    next(iter(lora.lora_layers(unet).values())).rslora["default"] = True
    with refusal("rslora: expected the same in all layers"):
        lora_files.config_of(unet)


def test_half_precision_makes_the_file_half_as_large(tmp_path):
    unet = with_lora()
    lora_files.save(unet, tmp_path / "a.safetensors")
    lora_files.save(unet, tmp_path / "b.safetensors", dtype=torch.float16)
    sizes = [
        sum(tensor.nbytes for tensor in lora_files.read(tmp_path / name).tensors.values())
        for name in ("a.safetensors", "b.safetensors")
    ]
    assert sizes[0] == 2 * sizes[1]
