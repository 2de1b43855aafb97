import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import gelu, relu
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModel,
)

from edudiff.layers.transformer import quick_gelu
from edudiff.models.clip import CLIP, contrastive_loss, similarity
from edudiff.models.clip_bridge import from_transformers, image_processor, to_transformers
from edudiff.models.clip_towers import TextTransformer, VisionTransformer

EOS = 19


def small_clip(activation=quick_gelu, eos_token_id=EOS) -> CLIP:
    depth = {"num_layers": 2, "num_heads": 2, "mlp_width": 20, "activation": activation}
    text = TextTransformer(20, eos_token_id, width=8, context_length=6, **depth)
    clip = CLIP(text, VisionTransformer(8, 4, width=12, **depth), projection_dim=5)
    with torch.no_grad():
        for parameter in clip.parameters():
            parameter.normal_(std=0.3)
    return clip


def small_reference(text=None, vision=None) -> CLIPModel:
    both = {"hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 1}
    both |= {"num_attention_heads": 2, "projection_dim": 5}
    sizes = {"vocab_size": 20, "max_position_embeddings": 6, "eos_token_id": EOS}
    config = CLIPConfig(
        text_config=both | sizes | (text or {}),
        vision_config=both | {"image_size": 8, "patch_size": 4} | (vision or {}),
        projection_dim=5,
    )
    return CLIPModel(config).eval()


def token_ids() -> torch.Tensor:
    return torch.tensor([[1, 4, 7, EOS, EOS, EOS], [1, 9, EOS, EOS, EOS, EOS]])


def pictures() -> torch.Tensor:
    return 2 * torch.rand(2, 3, 8, 8) - 1


def agree(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("activation", [quick_gelu, gelu])
def test_the_transformers_model_gives_the_same_logits(activation):
    clip, x, ids = small_clip(activation), pictures(), token_ids()
    theirs = to_transformers(clip)(input_ids=ids, pixel_values=x, return_loss=True)
    agree(similarity(*clip(x, ids)), theirs.logits_per_image)
    agree(contrastive_loss(*clip(x, ids)), theirs.loss)


@pytest.mark.parametrize("activation", [quick_gelu, gelu])
def test_there_and_back_is_the_same_network(activation):
    clip, x, ids = small_clip(activation), pictures(), token_ids()
    back = from_transformers(to_transformers(clip))
    assert same_weights(back, clip)
    assert torch.equal(similarity(*back(x, ids)), similarity(*clip(x, ids)))


def test_a_reference_with_sizes_of_its_own_becomes_ours():
    reference = small_reference({"hidden_size": 12}, {"num_hidden_layers": 3, "patch_size": 2})
    x, ids = pictures(), token_ids()
    expected = reference(input_ids=ids, pixel_values=x).logits_per_image
    agree(similarity(*from_transformers(reference)(x, ids)), expected)


def test_the_old_rule_for_the_end_is_the_highest_id():
    reference = small_reference({"eos_token_id": 2})
    ids = torch.tensor([[1, 2, 7, EOS, 0, 0]])
    expected = reference.get_text_features(ids)
    expected = getattr(expected, "pooler_output", expected)  # a tensor in earlier releases
    agree(from_transformers(reference).encode_text(ids), expected)


def test_a_saved_model_comes_back_the_same(tmp_path):
    clip = small_clip()
    to_transformers(clip).save_pretrained(tmp_path)
    assert same_weights(from_transformers(CLIPModel.from_pretrained(tmp_path)), clip)


def test_stable_diffusions_text_encoder_loads_from_the_saved_model(tmp_path):
    clip, ids = small_clip(), token_ids()
    to_transformers(clip).save_pretrained(tmp_path)
    theirs = CLIPTextModel.from_pretrained(tmp_path)(ids, output_hidden_states=True)
    ours = clip.text_model(ids)
    agree(ours.last_hidden_state, theirs.last_hidden_state)
    agree(ours.pooler_output, theirs.pooler_output)
    agree(ours.hidden_states[-2], theirs.hidden_states[-2])


def test_stable_diffusion_xls_text_encoder_loads_from_the_saved_model(tmp_path):
    clip, ids = small_clip(), token_ids()
    to_transformers(clip).save_pretrained(tmp_path)
    theirs = CLIPTextModelWithProjection.from_pretrained(tmp_path)
    agree(clip.encode_text(ids), theirs(ids).text_embeds)


def test_the_vision_tower_loads_from_the_saved_model(tmp_path):
    clip, x = small_clip(), pictures()
    to_transformers(clip).save_pretrained(tmp_path)
    theirs = CLIPVisionModel.from_pretrained(tmp_path)
    agree(clip.vision_model(x).pooler_output, theirs(x).pooler_output)


def test_the_saved_configuration_has_the_true_ids():
    config = to_transformers(small_clip(), bos_token_id=18).config.text_config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (18, EOS, EOS)


@pytest.mark.parametrize("convert", [to_transformers, lambda m: from_transformers(m)])
def test_a_copy_shares_no_weight_with_its_original(convert):
    original = small_clip() if convert is to_transformers else small_reference()
    copied = convert(original)
    with torch.no_grad():
        original.logit_scale += 1
    assert copied.logit_scale != original.logit_scale


def test_a_copy_is_in_evaluation_mode():
    theirs = to_transformers(small_clip().train())
    assert not theirs.training
    assert not from_transformers(theirs.train()).training


def test_the_dtype_goes_along():
    theirs = to_transformers(small_clip().double())
    assert {p.dtype for p in theirs.parameters()} == {torch.float64}
    assert {p.dtype for p in from_transformers(theirs).parameters()} == {torch.float64}


def test_saving_does_not_change_what_is_drawn_next():
    clip = small_clip()
    before = torch.get_rng_state()
    to_transformers(clip)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_activation_without_a_name_is_refused(refusal):
    with refusal(r"activation: expected one of \['quick_gelu', 'gelu'\], got <function relu"):
        to_transformers(small_clip(relu))


def test_texts_that_end_in_id_2_are_refused(refusal):
    with refusal("eos_token_id: expected any id but 2, which transformers ignores, got 2"):
        to_transformers(small_clip(eos_token_id=2))


@pytest.mark.parametrize("tower", ["text", "vision"])
@pytest.mark.parametrize(
    "name, value, message",
    [
        ("hidden_act", "relu", r"unknown activation: expected one of .*, got 'relu'"),
        ("attention_dropout", 0.1, r"attention_dropout: expected 0.0, got 0.1"),
        ("layer_norm_eps", 1e-6, r"layer_norm_eps: expected 1e-05, got 1e-06"),
    ],
)
def test_a_reference_that_our_towers_cannot_be_is_refused(tower, name, value, message, refusal):
    reference = small_reference(**{tower: {name: value}})
    with refusal(message):
        from_transformers(reference)


def test_a_reference_for_grey_pictures_is_refused(refusal):
    with refusal("num_channels: expected 3, got 1"):
        from_transformers(small_reference(vision={"num_channels": 1}))


def test_the_image_processor_gives_pictures_from_minus_one_to_one(generator):
    pixels = torch.randint(0, 256, (8, 8, 3), generator=generator, dtype=torch.uint8)
    pixels[0, 0], pixels[0, 1] = 0, 255
    photograph = Image.fromarray(np.asarray(pixels))
    processed = image_processor(8)(photograph, return_tensors="pt").pixel_values
    agree(processed[0], pixels.permute(2, 0, 1) / 127.5 - 1)
    assert (processed.min(), processed.max()) == (-1, 1)


def test_the_image_processor_cuts_the_middle_square_to_size():
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[:, 16:48] = 255
    processed = image_processor(8)(Image.fromarray(pixels), return_tensors="pt").pixel_values
    assert processed.shape == (1, 3, 8, 8)
    assert (processed[..., 2:6] > 0.9).all()


def test_a_saved_image_processor_comes_back_the_same(tmp_path):
    processor = image_processor(8)
    processor.save_pretrained(tmp_path)
    photograph = Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3))
    again = type(processor).from_pretrained(tmp_path)
    one, other = (p(photograph, return_tensors="pt").pixel_values for p in (processor, again))
    assert torch.equal(one, other)


def test_a_size_below_one_is_refused(refusal):
    with refusal("image_size: expected a whole number ≥ 1, got 0"):
        image_processor(0)
