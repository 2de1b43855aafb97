"""Names of LoRA matrices in every layout that is read."""

import pytest
import torch

from edudiff.models import lora_names

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"
TEXT = "encoder.layers.0.self_attn.q_proj"
LAYERS = {"unet": [LAYER, "conv_in"], "text_encoder": [TEXT]}
FLAT = LAYER.replace(".", "_")
OLD = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora"


@pytest.mark.parametrize(
    "down, up, part, name",
    [
        (f"{LAYER}.lora_A.weight", f"{LAYER}.lora_B.weight", "unet", LAYER),
        (f"unet.{LAYER}.lora_A.weight", f"unet.{LAYER}.lora_B.weight", "unet", LAYER),
        (f"{OLD}.down.weight", f"{OLD}.up.weight", "unet", LAYER),
        (
            f"base_model.model.{LAYER}.lora_A.weight",
            f"base_model.model.{LAYER}.lora_B.weight",
            "unet",
            LAYER,
        ),
        (f"lora_unet_{FLAT}.lora_down.weight", f"lora_unet_{FLAT}.lora_up.weight", "unet", LAYER),
        (
            "lora_unet_conv_in.lora_down.weight",
            "lora_unet_conv_in.lora_up.weight",
            "unet",
            "conv_in",
        ),
        (
            f"text_encoder.text_model.{TEXT}.lora_A.weight",
            f"text_encoder.text_model.{TEXT}.lora_B.weight",
            "text_encoder",
            TEXT,
        ),
        (
            "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight",
            "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight",
            "text_encoder",
            TEXT,
        ),
    ],
)
def test_every_layout_is_given_our_names(down, up, part, name):
    tensors = {down: torch.zeros(2, 4), up: torch.ones(3, 2)}
    state, alphas = lora_names.sort(tensors, LAYERS)[part]
    assert set(state) == {f"{name}.lora_A.weight", f"{name}.lora_B.weight"}
    assert state[f"{name}.lora_A.weight"] is tensors[down]
    assert alphas == {}


def test_kohya_s_alpha_is_a_number_of_its_layer():
    tensors = {f"lora_unet_{FLAT}.alpha": torch.tensor(4.0)}
    assert lora_names.sort(tensors, LAYERS) == {"unet": ({}, {LAYER: 4.0})}


def test_a_layer_that_is_not_there_keeps_its_name():
    found = lora_names.sort({"lora_unet_other_q.lora_up.weight": torch.zeros(1, 1)}, LAYERS)
    assert set(found["unet"][0]) == {"other_q.lora_B.weight"}


def test_to_kohya_and_back_leads_home():
    state = {f"{LAYER}.lora_A.weight": torch.zeros(2, 4), "conv_in.lora_B.weight": torch.ones(1, 1)}
    renamed = lora_names.to_kohya(state)
    assert set(renamed) == {
        f"lora_unet_{FLAT}.lora_down.weight",
        "lora_unet_conv_in.lora_up.weight",
    }
    back = lora_names.sort(renamed, LAYERS)["unet"][0]
    assert back.keys() == state.keys() and all(back[key] is state[key] for key in state)


@pytest.mark.parametrize("key", ["unet.conv_in.weight", "lora_unet_conv_in.dora_scale"])
def test_what_is_no_lora_of_these_kinds_is_named(key, refusal):
    with refusal(f"expected names ending in .*got '{key}'"):
        lora_names.sort({key: torch.zeros(1)}, LAYERS)
