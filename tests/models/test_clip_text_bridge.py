import pytest
import torch
from torch.nn.functional import gelu, relu
from transformers import CLIPTextConfig, CLIPTextModel

from edudiff.layers.transformer import quick_gelu
from edudiff.models.clip_text_bridge import from_transformers, to_transformers
from edudiff.models.clip_towers import TextTransformer

EOS = 19


def small_tower(activation=quick_gelu, eos_token_id=EOS):
    options = {"width": 8, "num_layers": 2, "num_heads": 2, "mlp_width": 20, "context_length": 6}
    tower = TextTransformer(20, eos_token_id, activation=activation, **options)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.normal_(std=0.3)
    return tower.eval()


def small_reference(**options):
    config = CLIPTextConfig(
        **{
            "vocab_size": 20,
            "hidden_size": 8,
            "intermediate_size": 20,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 6,
            "bos_token_id": 18,
            "eos_token_id": EOS,
            "pad_token_id": EOS,
            **options,
        }
    )
    return CLIPTextModel(config).eval()


def token_ids():
    return torch.tensor([[1, 4, 7, EOS, EOS, EOS], [1, 9, EOS, EOS, EOS, EOS]])


def agree(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("hidden_act", ["quick_gelu", "gelu"])
def test_our_copy_reads_what_the_reference_does(hidden_act):
    reference, ids = small_reference(hidden_act=hidden_act), token_ids()
    ours, theirs = from_transformers(reference)(ids), reference(ids)
    agree(ours.last_hidden_state, theirs.last_hidden_state)
    agree(ours.pooler_output, theirs.pooler_output)


@pytest.mark.parametrize("activation", [quick_gelu, gelu])
def test_their_copy_reads_what_ours_does(activation):
    tower, ids = small_tower(activation), token_ids()
    agree(to_transformers(tower)(ids).last_hidden_state, tower(ids).last_hidden_state)


def test_the_old_rule_for_the_end_is_the_highest_id():
    reference, ids = small_reference(eos_token_id=2), torch.tensor([[1, 2, 7, EOS, 0, 0]])
    agree(from_transformers(reference)(ids).pooler_output, reference(ids).pooler_output)


def test_a_saved_tower_comes_back_the_same(tmp_path):
    tower = small_tower()
    to_transformers(tower).save_pretrained(tmp_path)
    back = from_transformers(CLIPTextModel.from_pretrained(tmp_path)).state_dict()
    assert back.keys() == tower.state_dict().keys()
    assert all(torch.equal(back[name], weight) for name, weight in tower.state_dict().items())


def test_names_as_before_release_5_are_understood(monkeypatch):
    reference, ids = small_reference(), token_ids()
    expected = reference(ids).last_hidden_state
    plain = {k.removeprefix("text_model."): v for k, v in reference.state_dict().items()}
    old = {f"text_model.{name}": weight for name, weight in plain.items()}
    monkeypatch.setattr(reference, "state_dict", lambda: old)
    agree(from_transformers(reference)(ids).last_hidden_state, expected)


@pytest.mark.parametrize("convert", [to_transformers, from_transformers])
def test_a_copy_shares_no_weight_is_in_evaluation_mode_and_keeps_the_dtype(convert):
    original = (small_tower() if convert is to_transformers else small_reference()).double()
    copied = convert(original.train())
    before = {name: weight.clone() for name, weight in copied.state_dict().items()}
    with torch.no_grad():
        for parameter in original.parameters():
            parameter += 1
    assert all(torch.equal(copied.state_dict()[name], before[name]) for name in before)
    assert not copied.training
    assert {p.dtype for p in copied.parameters()} == {torch.float64}


def test_the_saved_configuration_has_the_true_ids():
    config = to_transformers(small_tower(), bos_token_id=18).config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (18, EOS, EOS)


def test_saving_does_not_change_what_is_drawn_next():
    tower = small_tower()
    before = torch.get_rng_state()
    to_transformers(tower)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hidden_act", "relu", "unknown activation: expected one of .*, got 'relu'"),
        ("attention_dropout", 0.1, "attention_dropout: expected 0.0, got 0.1"),
        ("layer_norm_eps", 1e-6, "layer_norm_eps: expected 1e-05, got 1e-06"),
    ],
)
def test_a_reference_that_our_tower_cannot_be_is_refused(name, value, message, refusal):
    with refusal(message):
        from_transformers(small_reference(**{name: value}))


def test_an_activation_without_a_name_is_refused(refusal):
    with refusal(r"activation: expected one of \['quick_gelu', 'gelu'\], got <function relu"):
        to_transformers(small_tower(relu))


def test_texts_that_end_in_id_2_are_refused(refusal):
    with refusal("eos_token_id: expected any id but 2, which transformers ignores, got 2"):
        to_transformers(small_tower(eos_token_id=2))
