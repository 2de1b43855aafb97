from dataclasses import replace

import pytest
import torch

from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.pipelines.text_to_image_xl import load


@pytest.fixture(scope="module")
def base(base_folder):
    return load(base_folder)


@pytest.fixture(scope="module")
def refiner(refiner_folder):
    return load(refiner_folder)


def test_a_loaded_pipeline_knows_what_it_is(base, refiner):
    assert (base.size, base.scored, base.zeros_for_no_text) == (32, False, True)
    assert (refiner.size, refiner.scored) == (32, True)
    assert refiner.text_encoder is None and len(refiner.tokenizers) == 1
    assert base.smallest_size == 8
    assert (base.prediction_type, base.spacing) == ("v_prediction", "trailing")


def test_a_network_made_for_another_pipeline_is_refused(base, refiner):
    with pytest.raises(ValueError, match="unet.context_dim: expected 32.* got 16"):
        replace(base, unet=refiner.unet)
    with pytest.raises(ValueError, match="unet.num_time_ids: expected 5"):
        replace(base, scored=True)
    other = TextWithProjection(base.text_encoder_2.text_model, 20)
    with pytest.raises(ValueError, match="unet.pooled_dim: expected 20.* got 24"):
        replace(base, text_encoder_2=other)
    with pytest.raises(ValueError, match="tokenizer: expected one exactly if"):
        replace(base, tokenizer=None)


def test_moving_moves_every_network(base_folder):
    pipe = load(base_folder).to("cpu", torch.float64)
    for network in (pipe.text_encoder, pipe.text_encoder_2, pipe.unet, pipe.vae):
        assert {weight.dtype for weight in network.parameters()} == {torch.float64}
