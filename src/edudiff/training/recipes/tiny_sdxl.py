"""How the shipped Stable Diffusion XL came to be: tiny-sd told more, by a second reader.

Two text encoders speak to the U-Net. The first is that of the shipped Stable Diffusion and learns
no more. SDXL's second one, OpenCLIP's largest, was finished too; ours is trained together with the
U-Net, because no contrastive encoder as small as ours knows which object stands where. The U-Net
starts from the shipped Stable Diffusion's weights, see `unet_transplant`: one transformer block on
the finer level as there, two on the coarser one, and what is told of the picture's size. The
decoder is the one that `tiny_sdxl_decoder` made: it learns nothing from this training either.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LambdaLR

from edudiff.checkpoints import registry
from edudiff.data import captions, scenes, tokens
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.prediction import training_target
from edudiff.layers.attention import write_out
from edudiff.models.unet import UNet
from edudiff.models.unet_transplant import grown_text_encoder, transplant_unet
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines import text_to_image, text_to_image_xl
from edudiff.pipelines.prompts_xl import read
from edudiff.pipelines.saving_xl import save
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.pipelines.text_to_image_xl import TextToImageXL
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd, tiny_sdxl_decoder, xl_quality
from edudiff.training.recipes.tiny_sd_words import CHOSEN, LATENESS
from edudiff.training.recipes.xl_examples import CHUNK, SHARES, Examples

FIRST_SEED = 2**28
"""Scenes from here on: others than those tiny-sd has learnt from."""

NUM_SCENES = 49_152
NUM_LAYERS, POOLED_DIM = 4, 128
LEARNING_RATE = 5e-4


def make_unet(context_dim: int, *, num_layers: int = 2, num_time_ids: int = 6) -> UNet:
    """The untrained network: 6.4 million parameters with two encoders and two layers.

    Args:
        context_dim: channels of all text encoders together.
        num_layers: transformer blocks in a row on the coarser level; on the finer one it is one.
        num_time_ids: how many numbers it is told of the picture's size.
    """
    return UNet(
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128),
        attention_levels=(True, True),
        context_dim=context_dim,
        num_heads=4,
        num_transformer_layers=(1, num_layers),
        linear_projection=True,
        pooled_dim=POOLED_DIM,
        num_time_ids=num_time_ids,
    )


def make_pipe(known: TextToImage, vae: AutoencoderKL | None = None) -> TextToImageXL:
    """A pipeline after SDXL that begins where a trained Stable Diffusion stands.

    Random numbers are drawn for what is new.

    Args:
        known: the trained Stable Diffusion.
        vae: another autoencoder with the same latents; its own if not given.
    """
    first = known.text_encoder
    second = grown_text_encoder(first, num_layers=NUM_LAYERS, projection_dim=POOLED_DIM)
    unet = make_unet(first.width + second.text_model.width)
    said = [captions.describe(scenes.scene(FIRST_SEED + i), FIRST_SEED + i) for i in range(256)]
    ids = torch.cat([tokens.tokenize(said, known.tokenizer), tokens.unconditional(known.tokenizer)])
    with torch.no_grad():
        before = first(ids).last_hidden_state
        now = read(first, second, [ids, ids]).context
    transplant_unet(known.unet, unet, before.flatten(0, 1), now.flatten(0, 1))
    return TextToImageXL(
        tokenizer=known.tokenizer,
        tokenizer_2=known.tokenizer,
        text_encoder=first,
        text_encoder_2=second,
        unet=unet,
        vae=known.vae if vae is None else vae,
        schedule=known.schedule,
        prediction_type=known.prediction_type,
        spacing=known.spacing,
        size=known.size,
        zeros_for_no_text=False,
    )


def with_weights(pipe: TextToImageXL, weights: nn.Module) -> TextToImageXL:
    """The pipeline with other weights in place of those that learn."""
    unet, text_encoder_2 = weights["unet"], weights["text_encoder_2"]  # type: ignore[index]
    return replace(pipe, unet=unet, text_encoder_2=text_encoder_2)


def denoising_loss(pipe: TextToImageXL, batch: Batch) -> dict[str, Tensor]:
    """Mean squared error of v̂ at the noisy latents, for what is told of the batch."""
    x0, t, eps, ids = batch["x0"], batch["t"], batch["eps"], batch["input_ids"]
    xt = add_noise(x0, eps, t, pipe.schedule)
    target = training_target(x0, eps, t, pipe.schedule, pipe.prediction_type)
    # With tokens this few the plain formula is twice as fast on a CPU as the fused one.
    with sdpa_kernel(SDPBackend.MATH):
        words = read(pipe.text_encoder, pipe.text_encoder_2, [ids, ids])
        v_hat = pipe.unet(
            xt, t, words.context, text_embeds=words.text_embeds, time_ids=batch["time_ids"]
        )
    return {"loss": mse_loss(v_hat.float(), target)}


def draw_samples(pipe: TextToImageXL) -> Float[Tensor, " b 3 h w"]:
    """Pictures of captions that are neither trained on nor tested on.

    Sixteen as they should be; of the next eight the first four again as if they had been small,
    the last four as if they were cut off.
    """
    prompts = tiny_sd.test_captions(16, first_seed=tiny_sd.FIRST_TUNING_SEED)
    small, cropped = xl_quality.SMALL_SIZE, xl_quality.CROP_CORNER
    return torch.cat(
        [
            xl_quality.pictures_of(pipe, prompts),
            xl_quality.pictures_of(pipe, prompts[:4], original_size=small),
            xl_quality.pictures_of(pipe, prompts[:4], crops_coords_top_left=cropped),
        ]
    )


def prepare(seed: int, num_steps: int) -> Job:
    """Make the networks, the latents they learn from, and everything that trains them."""
    torch.manual_seed(seed)
    vae = tiny_sdxl_decoder.load_shipped()
    pipe = make_pipe(text_to_image.load(registry.path("tiny-sd")), vae)
    return make_job(pipe, training_seeds(0, num_steps), num_steps, LEARNING_RATE)


def training_seeds(part: int, num_steps: int) -> range:
    """The scenes of one training of several, fewer for a short one."""
    first = FIRST_SEED + NUM_SCENES * part
    return range(first, first + min(NUM_SCENES, CHUNK * num_steps))


def make_job(
    pipe: TextToImageXL,
    seeds: range,
    num_steps: int,
    rate: float,
    *,
    shares: Mapping[tuple[int, int], float] = SHARES,
) -> Job:
    """Everything that trains the U-Net and the second text encoder on the scenes of these seeds.

    Args:
        pipe: where they begin.
        seeds: of the scenes.
        num_steps: of the whole training.
        rate: the highest learning rate.
        shares: how much each bucket has of everything.
    """
    if pipe.text_encoder is not None:
        pipe.text_encoder.requires_grad_(False)
    write_out(pipe.unet)
    network = nn.ModuleDict({"unet": pipe.unet, "text_encoder_2": pipe.text_encoder_2}).train()
    examples = Examples(pipe, seeds, shares=shares, chosen=CHOSEN, lateness=LATENESS)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    frozen = [each for each in (pipe.text_encoder, pipe.vae) if each is not None]

    def export(weights: nn.Module, folder: Path) -> None:
        save(with_weights(pipe, weights), folder)

    return Job(
        network,
        optimizer,
        examples.draw,
        lambda batch: denoising_loss(pipe, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=tuple(frozen),
        sample=lambda weights: draw_samples(with_weights(pipe, weights)),
        measure=lambda weights: xl_quality.measure(with_weights(pipe, weights)),
        export=export,
    )


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return xl_quality.measure(text_to_image_xl.load(registry.path("tiny-sdxl")))


RECIPE = Recipe(
    "sdxl", num_steps=7000, batch_size=64, prepare=prepare, measure_shipped=measure_shipped
)
