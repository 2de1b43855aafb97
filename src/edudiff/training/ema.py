"""The slow average of a network's weights, which samples better than the weights themselves."""

import copy
from typing import Any

import torch
from torch import nn


class EMA:
    """Keeps `module`, a copy whose weights follow those of a network in training.

        θ̄ ← decay · θ̄ + (1 − decay) · θ

    Early in training the decay is smaller, so that the average does not cling to the random
    start: the first update takes the weights over, and the one after n updates has a decay of at
    most (1 + n) / (10 + n).

    Args:
        network: the network to follow; it is not changed.
        decay: in [0, 1); 0.999 remembers about the last thousand steps.

    Raises:
        ValueError: if decay is not in [0, 1).

    Source:
        Polyak and Juditsky 1992; used by Ho et al. 2020 (arXiv:2006.11239). In diffusers:
        `EMAModel`, whose warm-up this is.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), got {decay!r}")
        self.decay, self.num_updates = decay, 0
        self.module = copy.deepcopy(network).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average a little towards `network`; call it after each optimiser step."""
        n = self.num_updates
        decay = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        self.num_updates += 1
        for average, value in zip(self.module.parameters(), network.parameters(), strict=True):
            average.lerp_(value, 1 - decay)
        for copied, buffer in zip(self.module.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on."""
        return {"num_updates": self.num_updates, "module": self.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved average."""
        self.num_updates = state["num_updates"]
        self.module.load_state_dict(state["module"])
