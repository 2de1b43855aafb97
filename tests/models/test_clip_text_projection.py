import pytest
import torch

from edudiff.models import clip_text_bridge
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.clip_towers import TextTransformer

IDS = torch.tensor([[50, 3, 4, 51, 51], [50, 7, 8, 9, 51]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    tower = TextTransformer(52, 51, width=16, num_layers=3, num_heads=2, context_length=5)
    return TextWithProjection(tower, 12).eval()


def test_states_and_sum_are_those_of_transformers(model):
    reference = clip_text_bridge.to_transformers_with_projection(model, 50)
    with torch.no_grad():
        ours, theirs = model(IDS), reference(IDS, output_hidden_states=True)
    torch.testing.assert_close(ours.text_embeds, theirs.text_embeds, atol=1e-5, rtol=1e-5)
    for mine, other in zip(ours.hidden_states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_there_and_back_is_the_same_network(model):
    reference = clip_text_bridge.to_transformers_with_projection(model, 50)
    again = clip_text_bridge.from_transformers_with_projection(reference)
    assert again.projection_dim == 12
    with torch.no_grad():
        assert torch.equal(again(IDS).text_embeds, model(IDS).text_embeds)


def test_the_sum_is_read_at_the_texts_end_alone(model):
    changed = IDS.clone()
    changed[0, 4] = 20  # after the end
    with torch.no_grad():
        torch.testing.assert_close(model(changed).text_embeds[0], model(IDS).text_embeds[0])


def test_a_sum_without_length_is_refused():
    with pytest.raises(ValueError, match="projection_dim"):
        TextWithProjection(TextTransformer(52, 51, width=16, num_heads=2), 0)
