import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

from edudiff.layers.transformer import quick_gelu
from edudiff.models.clip_towers import TextTransformer, VisionTransformer

EOS = 19
ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": gelu}
# width, layers, heads, width of the perceptrons, activation
SIZES = [(8, 1, 1, 16, "quick_gelu"), (12, 2, 3, 48, "gelu"), (32, 3, 4, 40, "quick_gelu")]


def reader(**changes) -> TextTransformer:
    sizes = {"width": 8, "num_layers": 2, "num_heads": 2, "context_length": 6}
    return TextTransformer(**{"vocab_size": 20, "eos_token_id": EOS} | sizes | changes)


def looker(**changes) -> VisionTransformer:
    sizes = {"image_size": 8, "patch_size": 4, "width": 8, "num_layers": 2, "num_heads": 2}
    return VisionTransformer(**sizes | changes)


def token_ids(texts: int = 3, length: int = 6) -> torch.Tensor:
    ids = torch.randint(0, EOS, (texts, length))
    ids[torch.arange(texts), torch.randint(1, length, (texts,))] = EOS
    return ids


def pictures(how_many: int = 3, size: int = 8) -> torch.Tensor:
    return 2 * torch.rand(how_many, 3, size, size) - 1


def stirred(reference: nn.Module) -> nn.Module:
    """With every parameter drawn anew, so that no bias is 0 and no norm is 1."""
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.normal_(std=0.3)
    return reference.eval()


def state_of(reference: nn.Module, tower: str) -> dict[str, torch.Tensor]:
    """Earlier releases of transformers keep the tower of `CLIPTextModel` one level down."""
    return getattr(reference, tower, reference).state_dict()


def pair_of_readers(width, layers, heads, hidden, activation):
    config = CLIPTextConfig(
        vocab_size=20,
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=6,
        hidden_act=activation,
        eos_token_id=EOS,
    )
    theirs = stirred(CLIPTextModel(config))
    ours = reader(
        width=width,
        num_layers=layers,
        num_heads=heads,
        mlp_width=hidden,
        activation=ACTIVATIONS[activation],
    )
    ours.load_state_dict(state_of(theirs, "text_model"))
    return ours, theirs


def pair_of_lookers(width, layers, heads, hidden, activation):
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=8,
        patch_size=4,
        hidden_act=activation,
    )
    theirs = stirred(CLIPVisionModel(config))
    ours = looker(
        width=width,
        num_layers=layers,
        num_heads=heads,
        mlp_width=hidden,
        activation=ACTIVATIONS[activation],
    )
    ours.load_state_dict(state_of(theirs, "vision_model"))
    return ours, theirs


PAIRS = [(pair_of_readers, token_ids), (pair_of_lookers, pictures)]


def agree(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pair, draw", PAIRS)
def test_a_tower_agrees_with_transformers(pair, draw, size):
    ours, theirs = pair(*size)
    x = draw()
    out, expected = ours(x), theirs(x, output_hidden_states=True)
    agree(out.last_hidden_state, expected.last_hidden_state)
    agree(out.pooler_output, expected.pooler_output)
    assert len(out.hidden_states) == len(expected.hidden_states)
    for state, its in zip(out.hidden_states, expected.hidden_states, strict=True):
        agree(state, its)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pair, draw", PAIRS)
def test_a_towers_gradients_agree_with_transformers(pair, draw, size):
    ours, theirs = pair(*size)
    x = draw()
    direction = torch.randn(3, size[0])
    (ours(x).pooler_output * direction).sum().backward()
    (theirs(x).pooler_output * direction).sum().backward()
    expected = {name.removeprefix("text_model."): p.grad for name, p in theirs.named_parameters()}
    expected = {name.removeprefix("vision_model."): grad for name, grad in expected.items()}
    for name, parameter in ours.named_parameters():
        agree(parameter.grad, expected[name])


@pytest.mark.parametrize("pair, draw", PAIRS)
def test_our_state_dict_loads_into_transformers_strictly(pair, draw):
    ours, theirs = pair(*SIZES[0])
    stirred(ours)
    tower = next((n for n in ("text_model", "vision_model") if hasattr(theirs, n)), None)
    (getattr(theirs, tower) if tower else theirs).load_state_dict(ours.state_dict())
    x = draw()
    agree(ours(x).pooler_output, theirs(x).pooler_output)


@pytest.mark.parametrize("tower, x", [(reader(), token_ids()), (looker(), pictures())])
def test_a_member_of_the_batch_does_not_depend_on_the_others(tower, x):
    alone = torch.cat([tower(row[None]).pooler_output for row in x])
    torch.testing.assert_close(alone, tower(x).pooler_output)


@pytest.mark.parametrize("tower, x", [(reader(), token_ids()), (looker(), pictures())])
def test_the_gradient_reaches_every_parameter(tower, x):
    tower(x).pooler_output.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in tower.parameters())


def test_what_follows_the_end_of_a_text_changes_nothing_in_its_vector():
    tower = reader()
    ids = torch.tensor([[3, 5, EOS, 0, 0, 0], [3, 5, EOS, 7, EOS, 2], [3, 5, EOS, EOS, EOS, EOS]])
    first, second, third = tower(ids).pooler_output
    torch.testing.assert_close(second, first)
    torch.testing.assert_close(third, first)


def test_a_text_need_not_be_padded():
    tower = reader()
    padded, bare = torch.tensor([[3, 5, EOS, EOS, EOS, EOS]]), torch.tensor([[3, 5, EOS]])
    torch.testing.assert_close(tower(padded).pooler_output, tower(bare).pooler_output)


def test_a_texts_vector_is_its_normalised_token_at_the_first_end():
    out = reader()(torch.tensor([[3, 5, EOS, 7, EOS, 2]]))
    assert torch.equal(out.pooler_output[0], out.last_hidden_state[0, 2])


def test_the_highest_id_is_not_taken_for_the_end():
    out = reader(eos_token_id=4)(torch.tensor([[3, 4, EOS, 7, 2, 2]]))
    assert torch.equal(out.pooler_output[0], out.last_hidden_state[0, 1])


def test_the_last_token_is_the_last_hidden_state_normalised():
    tower = reader()
    out = tower(token_ids())
    agree(out.last_hidden_state, tower.final_layer_norm(out.hidden_states[-1]))


def test_the_penultimate_state_does_not_know_the_last_layer():
    tower, ids = reader(), token_ids()
    before = tower(ids)
    stirred(tower.encoder.layers[-1])
    after = tower(ids)
    torch.testing.assert_close(after.hidden_states[-2], before.hidden_states[-2])
    assert not torch.allclose(after.hidden_states[-1], before.hidden_states[-1])


def test_the_order_of_words_matters():
    tower = reader()
    one, other = torch.tensor([[3, 5, EOS]]), torch.tensor([[5, 3, EOS]])
    assert not torch.allclose(tower(one).pooler_output, tower(other).pooler_output)


def test_where_a_patch_stands_matters():
    tower, x = looker(), pictures()
    assert not torch.allclose(tower(x).pooler_output, tower(x.flip(3)).pooler_output)


def test_without_positions_the_order_of_patches_does_not_matter():
    tower, x = looker(), pictures()
    nn.init.zeros_(tower.embeddings.position_embedding.weight)
    swapped = torch.cat([x[..., 4:], x[..., :4]], dim=3)
    agree(tower(x).pooler_output, tower(swapped).pooler_output)


@pytest.mark.parametrize("size, patch, tokens", [(8, 4, 5), (8, 2, 17), (64, 8, 65)])
def test_a_picture_is_one_token_for_each_patch_and_one_more(size, patch, tokens):
    out = looker(image_size=size, patch_size=patch)(pictures(2, size))
    assert out.last_hidden_state.shape == (2, tokens, 8)


def test_int32_ids_are_read_like_int64():
    tower, ids = reader(), token_ids()
    assert torch.equal(tower(ids.int()).pooler_output, tower(ids).pooler_output)


@pytest.mark.parametrize("tower, x", [(reader(), token_ids()), (looker(), pictures().double())])
def test_a_tower_in_float64_answers_in_float64(tower, x):
    # A copy: the tower is shared by the tests that take it as a parameter.
    assert copy.deepcopy(tower).double()(x).pooler_output.dtype == torch.float64


def test_ids_that_are_not_whole_numbers_are_refused(refusal):
    with refusal("input_ids: expected int64 token ids, got torch.float32"):
        reader()(token_ids().float())


@pytest.mark.parametrize("shape", [(6,), (2, 7), (2, 0), (2, 3, 4)])
def test_ids_of_another_shape_are_refused(shape, refusal):
    with refusal(r"input_ids: expected shape \(b, n\) with 1 ≤ n ≤ 6, got \("):
        reader()(torch.full(shape, EOS))


@pytest.mark.parametrize("wrong", [-1, 20])
def test_an_id_outside_the_vocabulary_is_refused(wrong, refusal):
    with refusal(r"input_ids: expected ids in \[0, 19\], got"):
        reader()(torch.tensor([[1, wrong, EOS]]))


def test_a_text_without_an_end_is_refused(refusal):
    with refusal("expected the end-of-text id 19 in every text, got none in text 1"):
        reader()(torch.tensor([[1, 2, EOS], [1, 2, 3], [4, 5, 6]]))


@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 3, 4, 4), (2, 1, 8, 8), (3, 8, 8)])
def test_pictures_of_another_shape_are_refused(shape, refusal):
    with refusal(r"pixel_values: expected shape \(b, 3, 8, 8\), got"):
        looker()(torch.zeros(shape))


def test_pictures_still_stored_as_bytes_are_refused(refusal):
    with refusal("pixel_values: expected a floating-point tensor, got torch.uint8"):
        looker()(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_patches_that_do_not_divide_the_picture_are_refused(refusal):
    with refusal("image_size: expected a multiple of patch_size=3, got 8"):
        looker(patch_size=3)


@pytest.mark.parametrize("tower", [reader, looker])
def test_heads_that_do_not_divide_the_width_are_refused(tower, refusal):
    with refusal("width: expected a multiple of num_heads=3, got 8"):
        tower(num_heads=3)


@pytest.mark.parametrize("name", ["vocab_size", "width", "num_layers", "context_length"])
def test_a_reader_refuses_a_size_below_one(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        reader(**{name: 0})


@pytest.mark.parametrize("name", ["image_size", "patch_size", "width", "num_layers"])
def test_a_looker_refuses_a_size_below_one(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        looker(**{name: 0})


def test_an_end_outside_the_vocabulary_is_refused(refusal):
    with refusal("eos_token_id: expected an id below 20, got 20"):
        reader(eos_token_id=20)


def test_a_negative_end_is_refused(refusal):
    with refusal("eos_token_id: expected a whole number ≥ 0, got -1"):
        reader(eos_token_id=-1)
