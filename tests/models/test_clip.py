import math

import pytest
import torch
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
)

from edudiff.models.clip import (
    CLIP,
    ImageEncoder,
    TextEncoder,
    clip_l,
    clip_l_text,
    contrastive_loss,
    openclip_bigg_text,
    similarity,
)
from edudiff.models.clip_towers import TextTransformer, VisionTransformer

EOS = 19
# width of the reader, of the looker, layers, heads, projection
SIZES = [(8, 8, 1, 1, 8), (12, 8, 2, 2, 5), (16, 32, 3, 4, 16)]


def towers(text=8, vision=8, layers=2, heads=2) -> tuple[TextTransformer, VisionTransformer]:
    depth = {"num_layers": layers, "num_heads": heads}
    return (
        TextTransformer(20, EOS, width=text, context_length=6, **depth),
        VisionTransformer(8, 4, width=vision, **depth),
    )


def token_ids(texts: int = 3) -> torch.Tensor:
    ids = torch.randint(0, EOS, (texts, 6))
    ids[torch.arange(texts), torch.randint(1, 6, (texts,))] = EOS
    return ids


def pictures(how_many: int = 3) -> torch.Tensor:
    return 2 * torch.rand(how_many, 3, 8, 8) - 1


def stirred(network: nn.Module) -> nn.Module:
    """With every parameter drawn anew, so that no bias is 0 and no norm is 1."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    return network.eval()


def config_of(text, vision, layers, heads, projection) -> CLIPConfig:
    both = {"num_hidden_layers": layers, "num_attention_heads": heads}
    both |= {"projection_dim": projection}
    return CLIPConfig(
        text_config=both
        | {"vocab_size": 20, "hidden_size": text, "intermediate_size": 4 * text}
        | {"max_position_embeddings": 6, "eos_token_id": EOS},
        vision_config=both
        | {"hidden_size": vision, "intermediate_size": 4 * vision}
        | {"image_size": 8, "patch_size": 4},
        projection_dim=projection,
    )


def pair(text, vision, layers, heads, projection) -> tuple[CLIP, CLIPModel]:
    theirs = stirred(CLIPModel(config_of(text, vision, layers, heads, projection)))
    ours = CLIP(*towers(text, vision, layers, heads), projection)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def agree(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# --- the loss ---


@pytest.mark.parametrize("pairs", [1, 2, 7])
def test_orthonormal_pairs_lose_log_of_e_plus_k_minus_1_over_e(pairs):
    loss = contrastive_loss(torch.eye(pairs, 8), torch.eye(pairs, 8), 1.0)
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + pairs - 1)), abs=1e-6)


@pytest.mark.parametrize("pairs", [1, 2, 7])
def test_at_scale_zero_the_loss_is_chance_log_k(pairs):
    loss = contrastive_loss(torch.randn(pairs, 8), torch.randn(pairs, 8), 0.0)
    assert loss.item() == pytest.approx(math.log(pairs), abs=1e-6)


def test_at_scale_zero_with_more_texts_a_picture_guesses_among_all_of_them():
    loss = contrastive_loss(torch.randn(3, 8), torch.randn(12, 8), 0.0)
    assert loss.item() == pytest.approx((math.log(12) + math.log(3)) / 2, abs=1e-6)


def test_pairs_that_are_alike_lose_nothing_at_a_large_scale():
    embeds = torch.eye(4)
    assert contrastive_loss(embeds, embeds, 100.0) < 1e-6


def test_pairs_that_are_swapped_lose_the_scale():
    loss = contrastive_loss(torch.eye(2), torch.eye(2).flip(0), 100.0)
    assert loss.item() == pytest.approx(100)


def test_radford_fig_3_the_loss_by_hand():
    images, texts = torch.randn(5, 8), torch.randn(5, 8)
    logits = 3 * torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2)
    of_images = torch.stack([logits[k].logsumexp(0) - logits[k, k] for k in range(5)]).mean()
    of_texts = torch.stack([logits[:, k].logsumexp(0) - logits[k, k] for k in range(5)]).mean()
    agree(contrastive_loss(images, texts, 3.0), (of_images + of_texts) / 2)


def test_the_loss_is_symmetric_in_pictures_and_texts():
    images, texts = torch.randn(5, 8), torch.randn(5, 8)
    agree(contrastive_loss(images, texts, 3.0), contrastive_loss(texts, images, 3.0))


def test_the_length_of_a_vector_does_not_matter():
    images, texts = torch.randn(5, 8), torch.randn(5, 8)
    lengths = torch.rand(5, 1) + 0.1
    agree(
        contrastive_loss(images * lengths, texts / lengths, 3.0),
        contrastive_loss(images, texts, 3.0),
    )


def test_the_order_of_the_pairs_does_not_matter():
    images, texts, order = torch.randn(5, 8), torch.randn(5, 8), torch.randperm(5)
    agree(contrastive_loss(images[order], texts[order], 3.0), contrastive_loss(images, texts, 3.0))


def test_the_order_of_the_hard_negatives_does_not_matter():
    images, texts, others = torch.randn(3, 8), torch.randn(3, 8), torch.randn(6, 8)
    one = contrastive_loss(images, torch.cat([texts, others]), 3.0)
    agree(one, contrastive_loss(images, torch.cat([texts, others.flip(0)]), 3.0))


def test_hard_negatives_by_hand():
    images, texts = torch.randn(3, 8), torch.randn(5, 8)
    logits = 3 * torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2)
    of_images = torch.stack([logits[k].logsumexp(0) - logits[k, k] for k in range(3)]).mean()
    of_texts = torch.stack([logits[:, k].logsumexp(0) - logits[k, k] for k in range(3)]).mean()
    agree(contrastive_loss(images, texts, 3.0), (of_images + of_texts) / 2)


def test_the_gradient_pulls_a_picture_to_its_text_and_away_from_a_hard_negative():
    image = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    contrastive_loss(image, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), 2.0).backward()
    _, to_own, to_other = image.grad[0].tolist()
    assert to_own < 0 < to_other


def test_similarity_is_the_cosine_between_every_picture_and_every_text():
    images, texts = torch.randn(3, 8), torch.randn(5, 8)
    cosine = torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2)
    agree(similarity(images, texts), cosine)


def test_similarity_is_multiplied_by_the_scale():
    images, texts = torch.randn(3, 8), torch.randn(5, 8)
    agree(similarity(images, texts, torch.tensor(7.0)), 7 * similarity(images, texts))


@pytest.mark.parametrize("function", [similarity, contrastive_loss])
@pytest.mark.parametrize("images, texts", [((3, 8), (3, 7)), ((8,), (3, 8)), ((3, 8), (8,))])
def test_embeddings_that_do_not_fit_are_refused(function, images, texts, refusal):
    with refusal(r"image_embeds, text_embeds: expected shapes \(i, d\) and \(t, d\), got"):
        function(torch.ones(images), torch.ones(texts), 1.0)


@pytest.mark.parametrize("images, texts", [(3, 2), (0, 0), (0, 2)])
def test_fewer_texts_than_pictures_or_no_picture_are_refused(images, texts, refusal):
    with refusal(f"got {images} pictures and {texts} texts"):
        contrastive_loss(torch.ones(images, 8), torch.ones(texts, 8), 1.0)


# --- the model beside transformers ---


@pytest.mark.parametrize("size", SIZES)
def test_clip_agrees_with_transformers(size):
    ours, theirs = pair(*size)
    x, ids = pictures(), token_ids()
    expected = theirs(input_ids=ids, pixel_values=x, return_loss=True)
    images, texts, scale = ours(x, ids)
    agree(nn.functional.normalize(images), expected.image_embeds)
    agree(nn.functional.normalize(texts), expected.text_embeds)
    agree(similarity(images, texts, scale), expected.logits_per_image)
    agree(contrastive_loss(images, texts, scale), expected.loss)


@pytest.mark.parametrize("size", SIZES)
def test_clips_gradients_agree_with_transformers(size):
    ours, theirs = pair(*size)
    x, ids = pictures(), token_ids()
    contrastive_loss(*ours(x, ids)).backward()
    theirs(input_ids=ids, pixel_values=x, return_loss=True).loss.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        agree(parameter.grad, expected[name].grad)


@pytest.mark.parametrize("size", SIZES)
def test_our_state_dict_loads_into_transformers_strictly(size):
    ours, theirs = pair(*size)
    theirs.load_state_dict(stirred(ours).state_dict())
    x, ids = pictures(), token_ids()
    agree(similarity(*ours(x, ids)), theirs(input_ids=ids, pixel_values=x).logits_per_image)


@pytest.mark.parametrize("size", SIZES)
def test_a_text_encoder_agrees_with_transformers_both_ways(size):
    text, vision, layers, heads, projection = size
    theirs = stirred(CLIPTextModelWithProjection(config_of(*size).text_config))
    ours = TextEncoder(towers(text, vision, layers, heads)[0], projection)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    ids = token_ids()
    read, expected = ours(ids), theirs(ids, output_hidden_states=True)
    agree(read.pooler_output, expected.text_embeds)
    agree(read.last_hidden_state, expected.last_hidden_state)
    agree(read.hidden_states[-2], expected.hidden_states[-2])


@pytest.mark.parametrize("size", SIZES)
def test_an_image_encoder_agrees_with_transformers_both_ways(size):
    text, vision, layers, heads, projection = size
    theirs = stirred(CLIPVisionModelWithProjection(config_of(*size).vision_config))
    ours = ImageEncoder(towers(text, vision, layers, heads)[1], projection)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    x = pictures()
    agree(ours(x).pooler_output, theirs(x).image_embeds)
    agree(ours(x).last_hidden_state, theirs(x).last_hidden_state)


# --- the model by itself ---


def test_the_scale_starts_at_one_over_0_07():
    *_, scale = CLIP(*towers())(pictures(), token_ids())
    assert scale.item() == pytest.approx(1 / 0.07, rel=1e-6)


def test_there_may_be_more_texts_than_pictures():
    images, texts, scale = CLIP(*towers(), 5)(pictures(2), token_ids(6))
    assert (images.shape, texts.shape, scale.shape) == ((2, 5), (6, 5), ())


def test_the_gradient_reaches_every_parameter():
    clip = CLIP(*towers())
    contrastive_loss(*clip(pictures(), token_ids())).backward()
    assert all(p.grad is not None and p.grad.any() for p in clip.parameters())


def test_a_pictures_vector_does_not_depend_on_the_other_pictures():
    clip, x = CLIP(*towers()), pictures()
    agree(torch.cat([clip.encode_image(one[None]) for one in x]), clip.encode_image(x))


def test_a_texts_vector_does_not_depend_on_the_other_texts():
    clip, ids = CLIP(*towers()), token_ids()
    agree(torch.cat([clip.encode_text(one[None]) for one in ids]), clip.encode_text(ids))


def test_a_model_in_float64_answers_in_float64():
    images, texts, scale = CLIP(*towers()).double()(pictures().double(), token_ids())
    assert {images.dtype, texts.dtype, scale.dtype} == {torch.float64}


@pytest.mark.parametrize("factor", [1.01, 127.5])
def test_pictures_outside_minus_one_to_one_are_refused(factor, refusal):
    with refusal(r"pictures: expected values in \[-1, 1\], got values in"):
        CLIP(*towers())(factor * torch.ones(2, 3, 8, 8), token_ids())


def test_pictures_still_stored_as_bytes_are_refused(refusal):
    with refusal("pictures: expected a floating-point tensor, got torch.uint8"):
        CLIP(*towers()).encode_image(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_pictures_of_another_size_are_refused(refusal):
    with refusal(r"pixel_values: expected shape \(b, 3, 8, 8\), got \(2, 3, 16, 16\)"):
        CLIP(*towers())(torch.zeros(2, 3, 16, 16), token_ids())


def test_a_text_without_an_end_is_refused(refusal):
    with refusal("expected the end-of-text id 19 in every text"):
        CLIP(*towers())(pictures(), torch.zeros(3, 6, dtype=torch.int64))


def test_a_projection_below_one_is_refused(refusal):
    text, vision = towers()
    for build in (
        lambda: CLIP(text, vision, 0),
        lambda: TextEncoder(text, 0),
        lambda: ImageEncoder(vision, 0),
    ):
        with refusal("projection_dim: expected a whole number ≥ 1, got 0"):
            build()


# --- known sizes, counted without allocating them ---


@pytest.mark.parametrize(
    "build, count",
    [(clip_l_text, 123_060_480), (openclip_bigg_text, 694_659_840), (clip_l, 427_616_513)],
)
def test_the_known_sizes_have_as_many_parameters_as_the_published_weights(build, count):
    with torch.device("meta"):
        assert parameters(build()) == count


@pytest.mark.slow
def test_clip_learns_which_colour_is_which(generator):
    colours = 2 * torch.rand(4, 3, 1, 1, generator=generator) - 1
    ids = torch.tensor([[1, 5 + k, EOS] for k in range(4)])
    clip = CLIP(*towers(text=32, vision=32))
    optimiser = torch.optim.Adam(clip.parameters(), lr=1e-3)
    for _ in range(150):
        x = (colours + 0.1 * torch.randn(4, 3, 8, 8, generator=generator)).clamp(-1, 1)
        optimiser.zero_grad()
        contrastive_loss(*clip(x, ids)).backward()
        optimiser.step()
    x = (colours + 0.1 * torch.randn(4, 3, 8, 8, generator=generator)).clamp(-1, 1)
    assert similarity(*clip(x, ids)).argmax(1).tolist() == [0, 1, 2, 3]
