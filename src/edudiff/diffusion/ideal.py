"""The denoiser that needs no training, because it knows the whole data set by heart."""

from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.diffusion.schedule import NoiseSchedule


def ideal_x0(
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    data: Float[Tensor, " n *shape"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """The best guess of x_0 in the sense of squared error, if x_0 is one of `data`.

        x̂_0 = E[x_0 | x_t] = Σ_i w_i x_i,
        w = softmax_i(−‖x_t − √ᾱ_t x_i‖² / (2 (1 − ᾱ_t)))

    Args:
        xt: noisy data.
        t: timesteps in [0, T).
        data: the whole data set, each member equally likely.
        schedule: the noise tables.

    Returns:
        A weighted mean of the data set for each member of the batch, in the dtype of `xt`.

    Raises:
        ValueError: if `data` is empty or its members are not shaped like those of `xt`, or a
            timestep is outside [0, T).

    Source:
        Karras et al. 2022 (arXiv:2206.00364), appendix B.3, eq. 57, in the variance-preserving
        scaling of Ho et al. 2020.
    """
    checks.timesteps(t, schedule.num_train_timesteps)
    if not len(data) or data.shape[1:] != xt.shape[1:]:
        expected = ("n ≥ 1", *xt.shape[1:])
        raise ValueError(f"data: expected shape {expected}, got {tuple(data.shape)}")
    x, candidates = xt.flatten(1), data.flatten(1)
    alpha_bar_t = schedule.alpha_bar(t, x)
    x, candidates = x.to(alpha_bar_t.dtype), candidates.to(alpha_bar_t.dtype)
    # −‖x − √ᾱ d‖² / 2, but for ‖x‖², which is the same for every candidate d.
    lengths = candidates.square().sum(dim=1)
    affinity = alpha_bar_t.sqrt() * (x @ candidates.T) - alpha_bar_t * lengths / 2
    weights = (affinity / (1 - alpha_bar_t)).softmax(dim=1)
    return (weights @ candidates).reshape(xt.shape).to(xt.dtype)
