"""How much noise there is at each timestep.

The paper counts timesteps 1…T; here `t` is an index 0…T−1 into the tables, so the paper's t is
`t + 1`. Where a sampler needs the clean data as a timestep, that is t = −1, with ᾱ₋₁ = 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from edudiff import checks


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The tables β, α = 1 − β and ᾱ_t = α_0 α_1 … α_t.

    They are kept in float64: in float32, 1 − ᾱ_0 would be off by two parts in ten thousand.

    Attributes:
        betas: the variance that each step adds, strictly between 0 and 1; the last one may be 1,
            and then nothing of the data is left at the end (see `zero_snr`).

    Raises:
        ValueError: if `betas` is not a float64 vector with entries in (0, 1), but for a last 1.

    Source:
        Ho et al. 2020 (arXiv:2006.11239), section 2. In diffusers: `DDPMScheduler.betas`.
    """

    betas: Float64[Tensor, " T"]

    def __post_init__(self) -> None:
        """Refuse tables that no variance-preserving chain can have."""
        if self.betas.ndim != 1 or self.betas.dtype != torch.float64 or not len(self.betas):
            got = f"{self.betas.dtype} of shape {tuple(self.betas.shape)}"
            raise ValueError(f"betas: expected a float64 vector, got {got}")
        inner, last = self.betas[:-1], self.betas[-1]
        if not bool(((inner > 0) & (inner < 1)).all()) or not 0 < last <= 1:
            low, high = self.betas.min().item(), self.betas.max().item()
            raise ValueError(
                f"betas: expected values in (0, 1), and the last in (0, 1], got [{low:g}, {high:g}]"
            )

    @property
    def num_train_timesteps(self) -> int:
        """T, the number of steps from data to noise."""
        return len(self.betas)

    @property
    def alphas(self) -> Float64[Tensor, " T"]:
        """α = 1 − β, the share of variance that one step keeps."""
        return 1 - self.betas

    @property
    def alphas_cumprod(self) -> Float64[Tensor, " T"]:
        """ᾱ_t, the share of the data's variance that is left after steps 0…t."""
        return self.alphas.cumprod(dim=0)

    def alpha_bar(self, t: Int[Tensor, " b"], like: Float[Tensor, " b *shape"]) -> Tensor:
        """ᾱ_t for each member of a batch, shaped (b, 1, …) to broadcast.

        In float64, except on Apple's GPUs, which have no such type: there in float32.

        Args:
            t: timesteps in [-1, T); t = −1 is the clean data, where ᾱ = 1.
            like: the batch whose number of axes and device are taken.

        Raises:
            ValueError: if a timestep is outside [-1, T), or there is not one for each member.
        """
        checks.timesteps(t, self.num_train_timesteps, lowest=-1)
        checks.one_timestep_each(like, t)
        table = torch.cat([torch.ones(1, dtype=torch.float64), self.alphas_cumprod])
        dtype = torch.float32 if like.device.type == "mps" else torch.float64
        values = table[t.cpu() + 1].to(like.device, dtype)
        return values.reshape(-1, *[1] * (like.ndim - 1))

    def signal_to_noise_ratio(self) -> Float64[Tensor, " T"]:
        """SNR_t = ᾱ_t / (1 − ᾱ_t), which falls strictly from data to noise.

        Source:
            Kingma et al. 2021 (arXiv:2107.00630), eq. 2.
        """
        return self.alphas_cumprod / (1 - self.alphas_cumprod)


def linear_betas(
    num_train_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
) -> Float64[Tensor, " T"]:
    """β rises in a straight line.

    Raises:
        ValueError: if there is not at least one timestep.

    Source:
        Ho et al. 2020, section 4. In diffusers: `beta_schedule="linear"`.
    """
    checks.whole_at_least(1, num_train_timesteps=num_train_timesteps)
    return torch.linspace(beta_start, beta_end, num_train_timesteps, dtype=torch.float64)


def scaled_linear_betas(
    num_train_timesteps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> Float64[Tensor, " T"]:
    """√β rises in a straight line; the schedule of Stable Diffusion.

    Raises:
        ValueError: if there is not at least one timestep.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752), its code. In diffusers:
        `beta_schedule="scaled_linear"`.
    """
    checks.whole_at_least(1, num_train_timesteps=num_train_timesteps)
    ends = math.sqrt(beta_start), math.sqrt(beta_end)
    return torch.linspace(*ends, num_train_timesteps, dtype=torch.float64).square()


def cosine_betas(num_train_timesteps: int = 1000, max_beta: float = 0.999) -> Float64[Tensor, " T"]:
    """ᾱ falls like a squared cosine, so that less time is spent on nearly pure noise.

        ᾱ(u) = f(u) / f(0),   f(u) = cos²((u + 0.008) / 1.008 · π/2),   u = t / T
        β_t = min(1 − ᾱ(t + 1) / ᾱ(t), max_beta)

    Raises:
        ValueError: if there is not at least one timestep, or max_beta is not in (0, 1).

    Source:
        Nichol and Dhariwal 2021 (arXiv:2102.09672), eq. 17. In diffusers:
        `beta_schedule="squaredcos_cap_v2"`.
    """
    checks.whole_at_least(1, num_train_timesteps=num_train_timesteps)
    if not 0 < max_beta < 1:
        raise ValueError(f"max_beta: expected a number in (0, 1), got {max_beta!r}")
    u = torch.linspace(0, 1, num_train_timesteps + 1, dtype=torch.float64)
    f = ((u + 0.008) / 1.008 * math.pi / 2).cos().square()
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "linear": linear_betas,
    "scaled_linear": scaled_linear_betas,
    "cosine": cosine_betas,
}


def make_schedule(name: str = "linear", num_train_timesteps: int = 1000) -> NoiseSchedule:
    """A schedule by name: "linear", "scaled_linear" or "cosine".

    Raises:
        ValueError: for an unknown name (the message has the nearest) or fewer than one timestep.
    """
    return NoiseSchedule(checks.choose("schedule", name, SCHEDULES)(num_train_timesteps))
