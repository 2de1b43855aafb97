"""How much an error counts at each timestep, so that easy timesteps do not drown the others."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.diffusion.prediction import PredictionType
from edudiff.diffusion.schedule import NoiseSchedule


def min_snr_weight(
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
    prediction_type: PredictionType = "epsilon",
    *,
    gamma: float = 5.0,
) -> Float[Tensor, " b"]:
    """The weight of the squared error at each timestep.

        min(SNR_t, γ) times the error of x_0,   SNR_t = ᾱ_t / (1 − ᾱ_t)

    The error of ε is SNR_t times that of x_0, and that of v is SNR_t + 1 times, so that the weight
    is min(SNR_t, γ) / SNR_t for a network that predicts ε and min(SNR_t, γ) / (SNR_t + 1) for v.

    Args:
        t: timesteps in [0, T).
        schedule: the noise tables.
        prediction_type: what the error is of.
        gamma: γ; timesteps with less noise than this stands for all count the same for x_0.

    Returns:
        float32, at least 0; where nothing of the data is left, SNR_t = 0, it is 1 for ε, 0 for v.

    Raises:
        ValueError: for a timestep outside [0, T), a γ that is not above 0, or an unknown prediction
            type.

    Source:
        Hang et al. 2023 (arXiv:2303.09556), section 3.4. In diffusers' scripts: `--snr_gamma`.
    """
    checks.timesteps(t, schedule.num_train_timesteps)
    checks.positive(gamma=gamma)
    snr = schedule.signal_to_noise_ratio()[t.cpu()]
    clipped = snr.clamp(max=gamma)
    weights = {
        "epsilon": (gamma / snr).clamp(max=1),
        "sample": clipped,
        "v_prediction": clipped / (snr + 1),
    }
    return checks.choose("prediction type", prediction_type, weights).to(t.device, torch.float32)
