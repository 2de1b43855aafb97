"""The recipe in which only the tower of the shipped CLIP that looks goes on learning."""

import pytest
import torch
from transformers import CLIPModel

from edudiff.models.clip import contrastive_loss
from edudiff.models.clip_bridge import from_transformers
from edudiff.training.recipes import tiny_clip, tiny_clip_vision


@pytest.fixture
def job():
    return tiny_clip_vision.prepare(0, num_steps=2)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def shipped():
    return tiny_clip.load_shipped()[0]


def test_it_begins_with_the_shipped_weights(job):
    whole = tiny_clip_vision.with_tower(shipped(), job.network)
    for ours, theirs in zip(whole.parameters(), shipped().parameters(), strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))


def test_its_loss_is_the_second_one_of_the_recipe_before(job):
    batch, clip = job.draw(8, seeded()), shipped()
    images, texts, scale = clip(batch["pictures"], batch["input_ids"])
    texts = torch.cat([texts, clip.encode_text(batch["wrong_ids"])])
    expected = contrastive_loss(images, texts, scale.clamp(max=100))
    torch.testing.assert_close(job.losses(batch)["loss"], expected)


def test_what_sees_learns_and_what_reads_does_not(job):
    job.losses(job.draw(8, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_what_is_written_holds_the_new_tower_and_the_old_texts(job, tmp_path):
    with torch.no_grad():
        for weight in job.network.parameters():
            weight.add_(1)
    job.export(job.network, tmp_path)
    found, before = from_transformers(CLIPModel.from_pretrained(tmp_path)), shipped()
    for name, weight in found.state_dict().items():
        sees = name.startswith(("vision_model", "visual_projection"))
        expected = before.state_dict()[name] + sees
        torch.testing.assert_close(weight, expected, atol=2e-3, rtol=0, msg=name)
