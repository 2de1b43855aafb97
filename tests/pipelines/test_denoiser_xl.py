import pytest
import torch

from edudiff.models.unet import UNet
from edudiff.pipelines.denoiser_xl import NEGATIVE_SCORE, denoiser
from edudiff.pipelines.prompts_xl import PictureSize, Told

SIZE = PictureSize((32, 48), (4, 8), (64, 96), 6.0)
WORDS = Told(torch.zeros(2, 5, 8), torch.zeros(2, 6))
XT, T = torch.zeros(1, 4, 8, 8), torch.tensor([500])


class Recorder(UNet):
    """Answers with 1 for the first half and 3 for the second, and remembers what it was told."""

    def forward(self, x, t, context, *, text_embeds, time_ids):  # type: ignore[override]
        self.time_ids = time_ids
        return torch.arange(1, 2 * len(x), 2).view(-1, 1, 1, 1).expand_as(x).float()


@pytest.fixture
def unet():
    return Recorder(in_channels=4, out_channels=4, block_out_channels=(8, 8), context_dim=8)


def test_guidance_goes_beyond_the_answer_with_the_prompt(unet):
    answer = denoiser(unet, WORDS, SIZE, 2.0, scored=False)(XT, T)
    assert torch.equal(answer, torch.full_like(XT, 1 + 2 * (3 - 1)))


def test_the_base_is_told_the_same_with_and_without_words(unet):
    denoiser(unet, WORDS, SIZE, 2.0, scored=False)(XT, T)
    assert unet.time_ids.tolist() == [[32, 48, 4, 8, 64, 96]] * 2


def test_a_refiner_is_led_away_from_a_whole_but_ugly_picture(unet):
    denoiser(unet, WORDS, SIZE, 2.0, scored=True)(XT, T)
    assert unet.time_ids.tolist() == [[32, 48, 0, 0, NEGATIVE_SCORE], [32, 48, 4, 8, 6]]


def test_an_answer_that_is_not_finite_is_refused(unet):
    unet.forward = lambda x, *args, **kwargs: torch.full_like(x, float("inf"))
    with pytest.raises(ValueError, match="unet: expected finite answers.* at t = 500"):
        denoiser(unet, WORDS, SIZE, 2.0, scored=False)(XT, T)
