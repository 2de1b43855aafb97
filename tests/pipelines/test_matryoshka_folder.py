import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from edudiff.data.tokens import make_tokenizer
from edudiff.diffusion.schedule import make_schedule
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet
from edudiff.pipelines import matryoshka
from edudiff.pipelines.matryoshka import Matryoshka
from edudiff.pipelines.matryoshka_folder import load, save
from edudiff.pipelines.words import ClipReader

PROMPTS = ["a red circle"]


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(20)
    tokenizer = make_tokenizer(PROMPTS, num_merges=20, context_length=8)
    text = TextTransformer(
        len(tokenizer), tokenizer.eos_token_id, width=16, num_heads=2, context_length=8
    )
    inner = MatryoshkaUNet(block_out_channels=(8, 16), text_dim=16, scale=4)
    unet = NestedUNet(inner, block_out_channels=(8, 8), scale=8, normalize_input=True)
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    schedule = make_schedule("cosine")
    reader = ClipReader(tokenizer, text.eval())
    return Matryoshka(reader, unet.eval(), schedule, power=2, size=8, spacing="matryoshka")


@pytest.fixture
def folder(pipe, tmp_path):
    save(pipe, tmp_path / "mdm")
    return tmp_path / "mdm"


def test_what_is_saved_loads_and_draws_as_before_to_half_precision(pipe, folder):
    found, expected = (
        matryoshka.generate(
            each, PROMPTS, generator=torch.Generator().manual_seed(0), num_inference_steps=3
        )
        for each in (load(folder), pipe)
    )
    for ours, before in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, before, atol=0.02, rtol=0)


def test_options_come_back(pipe, folder):
    again = load(folder)
    names = ("power", "size", "spacing", "sizes")
    assert [getattr(again, n) for n in names] == [getattr(pipe, n) for n in names]
    assert torch.equal(again.schedule.betas, pipe.schedule.betas)


def test_weights_are_stored_in_half_precision_and_computed_in_float32(folder):
    files = sorted(folder.rglob("*.safetensors"))
    assert len(files) == 2
    for file in files:
        assert {weight.dtype for weight in load_file(file).values()} == {torch.float16}
    again = load(folder)
    assert again.unet.conv_in.weight.dtype == torch.float32
    assert again.reader.text_encoder.final_layer_norm.weight.dtype == torch.float32


def test_another_schedule_is_refused(pipe, tmp_path, refusal):
    with refusal("schedule: expected the cosine schedule"):
        save(replace(pipe, schedule=make_schedule("linear")), tmp_path)


def test_another_reader_is_refused(pipe, tmp_path, refusal):
    class Other:
        width = 16

        def check(self, prompts, name="prompts"):
            pass

        def __call__(self, prompts):
            return torch.zeros(len(prompts), 1, 16), torch.ones(len(prompts), 1).bool()

    with refusal("reader: expected a ClipReader, got a Other"):
        save(replace(pipe, reader=Other()), tmp_path)


def test_an_incomplete_folder_is_refused_by_naming_what_is_missing(folder, refusal):
    (folder / "unet.safetensors").unlink()
    with refusal("folder: expected a Matryoshka pipeline, got .* without unet.safetensors"):
        load(folder)


def test_four_resolutions_come_back_and_are_drawn_as_before_to_half_precision(pipe, tmp_path):
    torch.manual_seed(3)
    unet = NestedUNet(pipe.unet, block_out_channels=(8, 8, 8), scale=32)
    unet = NestedUNet(unet, block_out_channels=(8, 8), scale=64).eval()
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    deep = replace(pipe, unet=unet, size=64)
    save(deep, tmp_path)
    assert load(tmp_path).sizes == deep.sizes == [64, 32, 8, 4]
    found, expected = (
        matryoshka.generate(
            each, PROMPTS, generator=torch.Generator().manual_seed(0), num_inference_steps=3
        )
        for each in (load(tmp_path), deep)
    )
    for ours, before in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, before, atol=0.02, rtol=0)


def test_weights_of_another_nesting_are_refused_by_naming_what_is_missing(pipe, folder, refusal):
    inner = {name: w.contiguous() for name, w in pipe.unet.inner_unet.state_dict().items()}
    save_file(inner, folder / "unet.safetensors")
    with refusal(r"nesting of 2 resolutions, got one of 1: missing level 0 \(8 pixels\)"):
        load(folder)


class Danger:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, made):
        self.made = str(made)

    def __reduce__(self):
        return os.mkdir, (self.made,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_in_place_of_the_weights_is_refused_and_its_code_not_run(
    protocol, folder, tmp_path, refusal
):
    weights = {"conv_in.weight": torch.zeros(2), "more": Danger(tmp_path / "made")}
    torch.save(weights, folder / "unet.safetensors", pickle_protocol=protocol)
    with refusal("path: expected a safetensors file"):
        load(folder)
    assert not (tmp_path / "made").exists()


def test_weights_that_are_not_finite_are_refused(folder, refusal):
    weights = load_file(folder / "unet.safetensors")
    weights["conv_out.bias"][0] = float("nan")
    save_file(weights, folder / "unet.safetensors")
    with refusal("unet: expected finite weights, got infinity or NaN in conv_out.bias"):
        load(folder)
