"""The parts of a pipeline's folder, as diffusers writes it, read into our own modules.

folder/model_index.json                    what kind of pipeline this is
folder/unet/ vae/ text_encoder/            config.json and …safetensors
folder/tokenizer/                          the words it knows
folder/scheduler/scheduler_config.json     the noise it was trained with
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, get_args

import diffusers
import torch

from edudiff import checks
from edudiff.diffusion.prediction import PredictionType
from edudiff.diffusion.schedule import (
    NoiseSchedule,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
)
from edudiff.diffusion.spacing import Spacing
from edudiff.diffusion.zero_snr import zero_terminal_snr
from edudiff.models import clip_text_bridge, unet_bridge, vae_bridge
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import UNet
from edudiff.models.vae import AutoencoderKL

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

PARTS = {
    "unet": ("config.json", "*.safetensors"),
    "vae": ("config.json", "*.safetensors"),
    "text_encoder": ("config.json", "*.safetensors"),
    "tokenizer": ("*.json",),
    "scheduler": ("scheduler_config.json",),
}
"""Each part's folder, and what must be in it."""

WITHOUT = {
    "trained_betas": None,
    "thresholding": False,
    "clip_sample": False,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_lu_lambdas": False,
    "use_flow_sigmas": False,
}
"""A scheduler's options that we do not have, and the value that stands for leaving them out."""


class Noise(TypedDict):
    """What a model was told of noise when it was trained, and at which timesteps it is asked."""

    schedule: NoiseSchedule
    prediction_type: PredictionType
    spacing: Spacing
    steps_offset: int


def check_folder(folder: Path) -> None:
    """Refuse a folder that does not hold a whole `StableDiffusionPipeline`.

    Raises:
        ValueError: if there is no such folder, or it holds another kind of pipeline, or something
            is missing; the message says all that is.
    """
    check_files(folder, PARTS)
    kind = json.loads((folder / "model_index.json").read_text("utf-8")).get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise ValueError(f"folder: expected a StableDiffusionPipeline, got a {kind}")


def check_files(folder: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Refuse a folder in which something is missing.

    Args:
        folder: of a pipeline.
        files: for each part what must be in its folder.

    Raises:
        ValueError: if there is no such folder, or for what is missing; the message says all of it.
    """
    if not folder.is_dir():
        raise ValueError(f"folder: expected a diffusers pipeline, got no folder {str(folder)!r}")
    wanted = [f"{part}/{file}" for part, each in files.items() for file in each]
    missing = [file for file in ["model_index.json", *wanted] if not any(folder.glob(file))]
    if missing:
        raise ValueError(
            f"folder: expected a diffusers pipeline, got {str(folder)!r} "
            f"without {', '.join(missing)}"
        )


def read_unet(folder: Path) -> tuple[UNet, int]:
    """The network, in float32, and for how many latents a side it was made.

    Raises:
        ValueError: if ours cannot be that network, or the weights are incomplete or not finite.
    """
    reference = read_weights(folder, "unet", diffusers.UNet2DConditionModel)
    size = reference.config.sample_size
    return sound("unet", unet_bridge.from_diffusers, reference), size


def read_vae(folder: Path) -> AutoencoderKL:
    """The autoencoder, in float32.

    Raises:
        ValueError: if ours cannot be that network, or the weights are incomplete or not finite.
    """
    reference = read_weights(folder, "vae", diffusers.AutoencoderKL)
    return sound("vae", vae_bridge.from_diffusers, reference)


def read_text_encoder(folder: Path) -> TextTransformer:
    """The text encoder, in float32.

    Raises:
        ValueError: if ours cannot be that network, or the weights are incomplete or not finite.
    """
    from transformers import CLIPTextModel

    reference = read_weights(folder, "text_encoder", CLIPTextModel)
    return sound("text_encoder", clip_text_bridge.from_transformers, reference)


def read_tokenizer(folder: Path, part: str = "tokenizer") -> "CLIPTokenizer":
    """The tokeniser."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder / part, local_files_only=True)


def read_noise(folder: Path) -> Noise:
    """The noise tables, what the network predicts, and how timesteps are spaced.

    What else the scheduler's configuration says is about the sampler it belongs to.

    Raises:
        ValueError: if the schedule is none of ours, or has an option that ours does not have.
    """
    written = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
    kind = getattr(diffusers, str(written.get("_class_name")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        got = written.get("_class_name")
        raise ValueError(f"scheduler: expected one of diffusers' schedulers, got {got!r}")
    arguments = inspect.signature(kind.__init__).parameters.values()
    config = {argument.name: argument.default for argument in arguments} | written
    for name, expected in WITHOUT.items():
        if config.get(name, expected) != expected:
            raise ValueError(f"scheduler: {name}: expected {expected!r}, got {config[name]!r}")
    prediction_type: Any = config.get("prediction_type")
    spacing: Any = config.get("timestep_spacing")
    spacing = "leading" if spacing is None else spacing  # schedulers that know no other
    for name, value, known in (
        ("prediction type", prediction_type, get_args(PredictionType)),
        ("timestep spacing", spacing, get_args(Spacing)),
    ):
        checks.choose(name, value, dict.fromkeys(known))
    offset = config.get("steps_offset", 0)
    return Noise(
        schedule=NoiseSchedule(_betas(config)),
        prediction_type=prediction_type,
        spacing=spacing,
        steps_offset=offset,
    )


def _betas(config: dict[str, Any]) -> torch.Tensor:
    steps, name = config["num_train_timesteps"], str(config.get("beta_schedule"))
    ends: Any = (config.get("beta_start"), config.get("beta_end"))
    schedules: dict[str, Callable[[], torch.Tensor]] = {
        "linear": lambda: linear_betas(steps, *ends),
        "scaled_linear": lambda: scaled_linear_betas(steps, *ends),
        "squaredcos_cap_v2": lambda: cosine_betas(steps),
    }
    betas = checks.choose("schedule", name, schedules)()
    return zero_terminal_snr(betas) if config.get("rescale_betas_zero_snr") else betas


def read_weights(folder: Path, part: str, kind: Any) -> Any:
    """The library's own network with the weights of a part, every one of them from the file."""
    with _quietly():
        try:
            reference, found = kind.from_pretrained(
                folder / part,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # the libraries have no common one for files they cannot read
            raise ValueError(f"{part}: expected weights that can be read, got {error}") from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise ValueError(f"{part}: expected all weights, got none for {', '.join(missing[:3])} …")
    return reference


def sound(part: str, convert: Callable[[Any], Any], reference: Any) -> Any:
    """The same network as ours, every weight of it a number."""
    try:
        module = convert(reference)
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error
    for name, weight in module.state_dict().items():
        if not weight.isfinite().all():
            raise ValueError(f"{part}: expected finite weights, got infinity or NaN in {name}")
    return module.float()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' bar: progress belongs to the caller."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
