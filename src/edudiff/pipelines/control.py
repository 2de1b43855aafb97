"""A text-to-image pipeline steered by a picture: a ControlNet speaks to its U-Net.

with steered(pipe, controlnet, edge_maps):
    pictures = generate(pipe, prompts, generator=generator)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Generator, Tensor, nn

from edudiff import checks
from edudiff.models import controlnet_bridge
from edudiff.models.controlnet import ControlNet
from edudiff.pipelines import text_to_image
from edudiff.pipelines.text_to_image import TextToImage


def load(folder: str | Path) -> ControlNet:
    """Read a ControlNet from a folder that diffusers has written, in float32, onto the CPU.

    Raises:
        ValueError: if there is no such folder, it holds no `ControlNetModel` that can be read, or
            one with an option that ours does not have.
    """
    import diffusers

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"folder: expected a diffusers ControlNet, got none in {str(folder)!r}")
    try:
        reference = diffusers.ControlNetModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except Exception as error:  # the libraries have no common one for files they cannot read
        raise ValueError(f"folder: expected weights that can be read, got {error}") from error
    return controlnet_bridge.from_diffusers(reference).float()


@contextmanager
def steered(
    pipe: TextToImage,
    controlnet: ControlNet,
    control: Float[Tensor, "b c H W"],
    conditioning_scale: float = 1.0,
) -> Iterator[None]:
    """Until the `with` block ends, the ControlNet adds to every answer of the pipeline's U-Net.

    It is asked what the U-Net is asked: at the same noisy latents, at the same timestep, for the
    same words; under guidance with the prompt and without. Works for everything that draws with the
    pipeline, `image_to_image` and `inpaint` included.

    Args:
        pipe: the pipeline; its weights stay as they are.
        controlnet: made for its U-Net, on the same device.
        control: a picture that steers for each picture that is drawn, in [0, 1], of its size.
        conditioning_scale: how much of what the ControlNet says is added; 0: nothing.

    Raises:
        ValueError: if the ControlNet was made for another U-Net, or `control` is not floating, has
            values outside [0, 1] or other channels than the ControlNet; when drawing, for another
            size or number of pictures.
    """
    for name in ("in_channels", "block_out_channels", "layers_per_block", "context_dim"):
        expected, got = getattr(pipe.unet, name), getattr(controlnet, name)
        if got != expected:
            raise ValueError(f"controlnet.{name}: expected {expected}, as unet has, got {got}")
    checks.floating(control=control)
    if control.ndim != 4 or control.shape[1] != controlnet.conditioning_channels:
        expected = f"shape (b, {controlnet.conditioning_channels}, h, w)"
        raise ValueError(f"control: expected {expected}, got {tuple(control.shape)}")
    checks.in_range(0.0, 1.0, control=control)

    def add(_: nn.Module, question: tuple[Any, ...], options: dict[str, Any]) -> Any:
        x, t, context = question
        times, left = divmod(len(x), len(control))
        if left:
            raise ValueError(f"control: expected one for each picture, got {len(control)}")
        shown = control.to(x).repeat(times, 1, 1, 1)
        down, mid = controlnet(x, t, context, shown, conditioning_scale)
        residuals = {
            "down_block_additional_residuals": down,
            "mid_block_additional_residual": mid,
        }
        return question, options | residuals

    hook = pipe.unet.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def generate(
    pipe: TextToImage,
    controlnet: ControlNet,
    prompts: Sequence[str],
    control: Float[Tensor, "b c h w"],
    *,
    generator: Generator,
    conditioning_scale: float = 1.0,
    **options: Any,
) -> Float[Tensor, "b 3 h w"]:
    """A picture in [-1, 1] for each prompt, with its contents where `control` has them.

    Args:
        pipe: the pipeline.
        controlnet: see `steered`.
        prompts: a text for each picture.
        control: see `steered`; the pictures become as large.
        generator: the source of randomness, on the CPU.
        conditioning_scale: see `steered`.
        options: the other arguments of `text_to_image.sample`, such as `num_inference_steps=50`.

    Raises:
        ValueError: what `steered`, `sample` and `decode` raise; for another number of prompts than
            pictures that steer.

    Source:
        Zhang et al. 2023 (arXiv:2302.05543), section 3. In diffusers:
        `StableDiffusionControlNetPipeline`.
    """
    with steered(pipe, controlnet, control, conditioning_scale):
        if len(prompts) != len(control):
            expected = f"one for each of {len(prompts)} prompts"
            raise ValueError(f"control: expected {expected}, got {len(control)}")
        size = {"height": control.shape[2], "width": control.shape[3]}
        return text_to_image.generate(pipe, prompts, generator=generator, **size | options)
