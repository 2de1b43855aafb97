import dataclasses

import pytest
import torch

from edudiff.data.tokens import make_tokenizer, tokenize
from edudiff.models.clip import CLIP
from edudiff.models.clip_towers import TextTransformer, VisionTransformer
from edudiff.models.dalle import DALLE
from edudiff.models.vector_quantizer import VQModel
from edudiff.pipelines.dalle import DalleToImage, best_of, choose, decode, generate, sample

WORDS = ["a red circle left of a blue square", "a big green star", "two small yellow triangles"]
LENGTH = 12


def make_pipe(**transformer):
    torch.manual_seed(20)
    tokenizer = make_tokenizer(WORDS, num_merges=50, context_length=LENGTH)
    options = {
        "text_vocab_size": len(tokenizer),
        "num_codes": 10,
        "text_length": LENGTH,
        "image_length": 16,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
    }
    vqvae = VQModel(num_codes=10, block_out_channels=(4, 4))
    torch.nn.init.normal_(vqvae.quantize.embedding.weight)
    pipe = DalleToImage(tokenizer, DALLE(**options | transformer), vqvae)
    for parameter in pipe.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return pipe


@pytest.fixture(scope="module")
def pipe():
    return make_pipe()


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def write(pipe, prompts=WORDS, seed=3, **options):
    return [*sample(pipe, prompts, generator=seeded(seed), **options)]


def test_one_code_is_added_at_a_time_and_none_changes_again(pipe):
    found = write(pipe)
    assert [each.shape for each in found] == [(3, n) for n in range(1, 17)]
    assert all(torch.equal(each, found[-1][:, : each.shape[1]]) for each in found)


@pytest.mark.parametrize("options", [{}, {"guidance_scale": 2.5}, {"temperature": 0.5, "top_k": 4}])
def test_what_is_kept_changes_no_picture(pipe, options):
    kept, anew = (write(pipe, use_cache=use, **options)[-1] for use in (True, False))
    assert torch.equal(kept, anew)


def test_with_the_likeliest_code_alone_the_picture_is_the_greedy_one(pipe):
    text = tokenize(WORDS[:1], pipe.tokenizer)
    codes = text[:, :0]
    for _ in range(16):
        logits, _ = pipe.transformer(pipe.transformer.sequence(text, codes))
        best = logits[:, -1, pipe.transformer.text_vocab_size :].argmax(dim=1, keepdim=True)
        codes = torch.cat([codes, best], dim=1)
    assert torch.equal(write(pipe, WORDS[:1], top_k=1)[-1], codes)


def test_guidance_goes_on_from_the_logits_without_words(pipe):
    alone = write(pipe, guidance_scale=1.0)[-1]
    assert torch.equal(write(pipe, guidance_scale=1.0 + 1e-9)[-1], alone)
    assert not torch.equal(write(pipe, guidance_scale=4.0)[-1], alone)


def test_a_seed_means_the_same_picture_whatever_comes_after_it(pipe):
    assert torch.equal(write(pipe)[-1][:1], write(pipe, WORDS[:1])[-1])


def test_another_seed_another_picture(pipe):
    assert not torch.equal(write(pipe)[-1], write(pipe, seed=4)[-1])


def test_codes_are_taken_as_often_as_they_are_likely():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(6000, 3)
    found = choose(logits, torch.arange(6000) / 6000)
    expected = torch.tensor([0.0, 1.0, 2.0]).softmax(dim=0)
    torch.testing.assert_close(found.bincount() / 6000, expected, atol=1e-3, rtol=0)


def test_a_low_temperature_takes_the_likeliest_and_a_high_one_any():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(300, 3)
    uniform = (torch.arange(300) + 0.5) / 300
    assert (choose(logits, uniform, temperature=0.01) == 2).all()
    shares = choose(logits, uniform, temperature=100.0).bincount() / 300
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.02, rtol=0)


def test_only_the_k_likeliest_are_taken():
    logits = torch.tensor([[3.0, 0.0, 1.0, 2.0]]).expand(300, 4)
    found = choose(logits, torch.arange(300) / 300, top_k=2)
    assert set(found.tolist()) == {0, 3}


@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_the_ends_of_the_range_of_random_numbers_are_codes_too(u):
    logits = torch.tensor([[0.0, 1.0, 2.0, -50.0]])
    assert choose(logits, torch.tensor([u])).item() == (0 if u == 0 else 2)


def test_pictures_are_what_the_decoder_makes_of_the_codes(pipe):
    codes = write(pipe)[-1]
    found = generate(pipe, WORDS, generator=seeded())
    z = pipe.vqvae.quantize.codes(codes.view(3, 4, 4))
    torch.testing.assert_close(found, pipe.vqvae.decode(z).clamp(-1, 1))
    assert found.shape == (3, 3, 8, 8)


def make_clip(tokenizer):
    text = TextTransformer(
        len(tokenizer),
        tokenizer.eos_token_id,
        width=8,
        num_layers=1,
        num_heads=2,
        context_length=LENGTH,
    )
    vision = VisionTransformer(8, 4, width=8, num_layers=1, num_heads=2)
    return CLIP(text, vision, projection_dim=6)


def test_of_several_pictures_clip_chooses_the_one_most_like_the_prompt(pipe):
    clip = make_clip(pipe.tokenizer)
    generator = seeded()
    rounds = [generate(pipe, WORDS, generator=generator) for _ in range(5)]
    found = best_of(pipe, clip, WORDS, number=5, generator=seeded())
    texts = clip.encode_text(tokenize(WORDS, pipe.tokenizer))
    likeness = torch.stack(
        [torch.cosine_similarity(clip.encode_image(each), texts) for each in rounds]
    )
    for k, row in enumerate(likeness.argmax(dim=0).tolist()):
        assert torch.equal(found[k], rounds[row][k])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_codes": 9}, "transformer.num_codes: expected 10, as the vqvae has, got 9"),
        ({"text_vocab_size": 5}, "transformer.text_vocab_size: expected .* as the tokenizer has"),
        ({"text_length": 9}, "transformer.text_length: expected 12, as the tokenizer has, got 9"),
        ({"image_length": 15}, "transformer.image_length: expected 9, as the square picture"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options, message, refusal):
    with refusal(message):
        make_pipe(**options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": "a red star"}, "prompts: expected a list of texts"),
        ({"prompts": [""]}, r"prompts\[0\]: expected some words"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected a finite number ≥ 0"),
        ({"temperature": 0.0}, "temperature: expected a number above 0"),
        ({"top_k": 0}, "top_k: expected a whole number ≥ 1"),
        ({"top_k": 11}, "top_k: expected at most 10, got 11"),
    ],
)
def test_what_cannot_be_sampled_is_refused(pipe, changes, message, refusal):
    options = {"prompts": WORDS[:1], "generator": seeded()} | changes
    with refusal(message):
        next(sample(pipe, options.pop("prompts"), **options))


def test_pictures_with_places_left_open_are_refused(pipe, refusal):
    with refusal("codes: expected 16 of each, got 15"):
        decode(pipe, torch.zeros(1, 15).long())


def test_no_pictures_to_choose_from_are_refused(pipe, refusal):
    with refusal("number: expected a whole number ≥ 1, got 0"):
        best_of(pipe, make_clip(pipe.tokenizer), WORDS, number=0, generator=seeded())


def test_networks_move_together():
    pipe = make_pipe().to("cpu", torch.float64)
    assert generate(pipe, WORDS[:1], generator=seeded()).isfinite().all()
    assert dataclasses.replace(pipe).vqvae.quant_conv.weight.dtype == torch.float64
