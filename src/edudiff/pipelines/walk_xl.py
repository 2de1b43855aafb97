"""Where a walk from noise to a picture begins and where it ends, when two models share it."""

from jaxtyping import Int
from torch import Tensor


def part_of_walk(
    timesteps: Int[Tensor, " S"], num_train_timesteps: int, start: float | None, end: float | None
) -> tuple[int, int]:
    """Which steps to take: from the first one to before the last.

    A share of 0.8 stands for the timestep (1 − 0.8) T: the model that ends there takes the steps
    from it on upwards, the one that starts there takes those below.

    Args:
        timesteps: of the whole walk, falling.
        num_train_timesteps: T, the length of the noise table.
        start: the share of the table at which another model stopped; None for the beginning.
        end: the share at which to stop; None for the end.

    Raises:
        ValueError: if a share is not in (0, 1), or no step is left.

    Source:
        In diffusers: `denoising_start` and `denoising_end` of the pipelines of SDXL.
    """
    places = [0, len(timesteps)]
    for i, (name, share) in enumerate((("denoising_start", start), ("denoising_end", end))):
        if share is not None:
            if not 0 < share < 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, got {share!r}")
            cut = round(num_train_timesteps - share * num_train_timesteps)
            places[i] = int((timesteps >= cut).sum())
    if places[0] >= places[1]:
        asked = f"denoising_start={start} and denoising_end={end}"
        raise ValueError(f"num_inference_steps: expected a step between {asked}, got none")
    return places[0], places[1]


def check_latents(
    latents: Tensor, number: int, channels: int, factor: int, size: tuple[int | None, int | None]
) -> None:
    """Refuse latents that are not one for each prompt, or of another size than was asked for.

    Raises:
        ValueError: with what was expected.
    """
    if latents.ndim != 4 or latents.shape[:2] != (number, channels):
        expected = f"({number}, {channels}, h, w)"
        raise ValueError(f"latents: expected shape {expected}, got {tuple(latents.shape)}")
    for name, side, found in zip(("height", "width"), size, latents.shape[2:], strict=True):
        if side is not None and side != found * factor:
            raise ValueError(f"{name}: expected {found * factor}, as the latents have, got {side}")
