import pytest
import torch
from transformers import GPT2LMHeadModel
from transformers.utils import logging

from edudiff.models.dalle import DALLE
from edudiff.models.dalle_bridge import from_transformers, to_transformers

logging.disable_progress_bar()
OPTIONS = {
    "text_vocab_size": 11,
    "num_codes": 6,
    "text_length": 5,
    "image_length": 4,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
}


def small():
    model = DALLE(**OPTIONS)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def test_gpt2_answers_as_ours_with_the_same_weights():
    model, ids = small(), torch.randint(0, 17, (2, 9))
    expected = to_transformers(model)(ids).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(model(ids)[0], expected, atol=1e-5, rtol=1e-5)


def test_there_and_back_through_a_folder_keeps_every_option_and_weight(tmp_path):
    model = small()
    to_transformers(model).save_pretrained(tmp_path)
    back = from_transformers(GPT2LMHeadModel.from_pretrained(tmp_path))
    assert {name: getattr(back, name) for name in OPTIONS} == OPTIONS
    weights = back.state_dict()
    assert all(torch.equal(weights[n], weight) for n, weight in model.state_dict().items())
    assert not back.training


def test_a_copy_shares_no_weights():
    model = small()
    theirs = to_transformers(model)
    before = theirs.transformer.ln_f.bias.clone()
    with torch.no_grad():
        model.transformer.ln_f.bias.add_(1)
    assert torch.equal(theirs.transformer.ln_f.bias, before)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("activation_function", "relu"),
        ("layer_norm_epsilon", 1e-6),
        ("tie_word_embeddings", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("text_vocab_size", None),
    ],
)
def test_options_that_ours_does_not_have_are_refused(option, value, refusal):
    theirs = to_transformers(small())
    setattr(theirs.config, option, value)
    with refusal(f"{option}: expected"):
        from_transformers(theirs)
