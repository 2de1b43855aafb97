"""A layer with LoRA: it stays as it is, and a product of two thin matrices is added to it.

    W x  becomes  W x + s · B A x,    A: rank × in,  B: out × rank,  s = lora_alpha / rank

B begins as zero, so that at first nothing changes at all.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks


class LoRALayer(nn.Module):
    """What `LoRALinear` and `LoRAConv2d` have in common: any number of adapters on one layer.

    Args:
        base_layer: the layer as it was; it does not learn any more.

    Attributes:
        base_layer: the same.
        lora_A: for each adapter the layer that goes down to its rank.
        lora_B: for each adapter the layer that comes up again; at first zero.
        rank: of each adapter.
        lora_alpha: of each adapter.
        rslora: for each adapter, whether it is scaled by the square root of its rank.
        weights: how much of each adapter is added; 1 when it is new.
        merged: what `merge` has put into the base layer: adapters and their weights; else None.

    Source:
        Hu et al. 2021 (arXiv:2106.09685), section 4.1. In peft: `lora.Linear` and `lora.Conv2d`,
        with the same parameter names.
    """

    base_layer: Any
    weights: dict[str, float]

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        self.lora_A, self.lora_B = nn.ModuleDict(), nn.ModuleDict()
        self.rank: dict[str, int] = {}
        self.lora_alpha: dict[str, float] = {}
        self.rslora: dict[str, bool] = {}
        self.weights: dict[str, float] = {}
        self.merged: dict[str, float] | None = None

    @property
    def weight(self) -> Tensor:
        """The base layer's weights."""
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        """The base layer's bias."""
        return self.base_layer.bias

    def add(
        self, adapter: str, *, rank: int, lora_alpha: int | float, rslora: bool = False
    ) -> None:
        """Add an adapter that changes nothing yet: A is drawn as for any new layer, B is zero.

        Both are in float32 even where the base layer is in half precision, because they learn.

        Raises:
            ValueError: if there is one of this name, or its name has a dot; if this layer is
                merged; if the rank is what `check_rank` refuses, or lora_alpha is not above 0.
        """
        self.refuse_merged()
        if not adapter or "." in adapter:
            raise ValueError(f"adapter: expected a name without dots, got {adapter!r}")
        if adapter in self.rank:
            raise ValueError(f"adapter: expected another name than {sorted(self.rank)}")
        check_rank(self.base_layer, rank)
        checks.positive(lora_alpha=float(lora_alpha))
        down, up = self._pair(rank)
        nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
        nn.init.zeros_(up.weight)
        like = self._promoted()
        self.lora_A[adapter], self.lora_B[adapter] = down.to(like), up.to(like)
        self.rank[adapter], self.lora_alpha[adapter] = rank, float(lora_alpha)
        self.rslora[adapter], self.weights[adapter] = rslora, 1.0

    def remove(self, adapter: str) -> None:
        """Take an adapter away.

        Raises:
            ValueError: if there is none of this name, or this layer is merged.
        """
        self.refuse_merged()
        checks.choose("adapter", adapter, self.rank)
        for table in (self.rank, self.lora_alpha, self.rslora, self.weights):
            del table[adapter]
        del self.lora_A[adapter], self.lora_B[adapter]

    def scaling(self, adapter: str) -> float:
        """lora_alpha / rank, or lora_alpha / √rank.

        Source:
            Hu et al. 2021 (arXiv:2106.09685), section 4.1; the square root, with which large ranks
            learn as fast as small ones: Kalajdzievski 2023 (rsLoRA, arXiv:2312.03732).
        """
        rank = self.rank[adapter]
        return self.lora_alpha[adapter] / (math.sqrt(rank) if self.rslora[adapter] else rank)

    def delta(self, adapter: str) -> Tensor:
        """ΔW = s · B A, shaped as the base layer's weights; its rank is at most the adapter's."""
        down: Any = self.lora_A[adapter]
        up: Any = self.lora_B[adapter]
        product = up.weight.flatten(1) @ down.weight.flatten(1)
        return self.scaling(adapter) * product.view_as(self.weight)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The base layer's answer, and what the adapters add to it."""
        answer = self.base_layer(x)
        if self.merged is not None:
            return answer
        for adapter, weight in self.weights.items():
            if weight:
                down: Any = self.lora_A[adapter]
                up: Any = self.lora_B[adapter]
                change = up(down(x.to(down.weight.dtype))) * (weight * self.scaling(adapter))
                answer = answer + change.to(answer.dtype)
        return answer

    @torch.no_grad()
    def merge(self) -> None:
        """Put the adapters into the base layer's weights, so that they cost nothing any more.

        Raises:
            ValueError: if this layer is merged already, or an adapter is not finite.
        """
        self.refuse_merged()
        self.check_finite()
        self.weight.copy_((self._promoted() + self._sum(self.weights)).to(self.weight.dtype))
        self.merged = dict(self.weights)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the adapters out of the base layer's weights again, up to rounding.

        Raises:
            ValueError: if this layer is not merged.
        """
        if self.merged is None:
            raise ValueError("unmerge: expected a layer that is merged")
        self.weight.copy_((self._promoted() - self._sum(self.merged)).to(self.weight.dtype))
        self.merged = None

    def refuse_merged(self) -> None:
        """Refuse what cannot be done while adapters are in the base layer's weights.

        Raises:
            ValueError: if they are.
        """
        if self.merged is not None:
            raise ValueError("expected adapters beside the layer, but they are merged: unmerge it")

    def check_finite(self) -> None:
        """Refuse adapters with infinities or NaN; in the base layer they could not be taken out.

        Raises:
            ValueError: naming the adapter.
        """
        for adapter in self.rank:
            if not self.delta(adapter).isfinite().all():
                raise ValueError(f"{adapter}: expected finite numbers, got infinity or NaN")

    def _promoted(self) -> Tensor:
        return self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))

    def _sum(self, weights: dict[str, float]) -> Tensor:
        total = torch.zeros_like(self._promoted())
        for adapter, weight in weights.items():
            total += weight * self.delta(adapter)
        return total

    def _pair(self, rank: int) -> tuple[Any, Any]:
        raise NotImplementedError


class LoRALinear(LoRALayer):
    """A linear layer with LoRA; `LoRALayer` says the rest.

    Args:
        base_layer: the layer as it was.
    """

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__(base_layer)
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features

    def _pair(self, rank: int) -> tuple[nn.Linear, nn.Linear]:
        down = nn.Linear(self.in_features, rank, bias=False)
        return down, nn.Linear(rank, self.out_features, bias=False)


class LoRAConv2d(LoRALayer):
    """A convolution with LoRA: A is a convolution with the same kernel, B looks at single pixels.

    As a matrix, A is rank × (channels in · height · width of the kernel).

    Args:
        base_layer: the layer as it was.

    Raises:
        ValueError: if the convolution has several groups.
    """

    def __init__(self, base_layer: nn.Conv2d) -> None:
        super().__init__(base_layer)
        if base_layer.groups != 1:
            raise ValueError(f"groups: expected a convolution with 1, got {base_layer.groups}")
        self.in_channels, self.out_channels = base_layer.in_channels, base_layer.out_channels

    def _pair(self, rank: int) -> tuple[nn.Conv2d, nn.Conv2d]:
        like = self.base_layer
        down = nn.Conv2d(
            self.in_channels,
            rank,
            like.kernel_size,
            like.stride,
            like.padding,
            like.dilation,
            padding_mode=like.padding_mode,
            bias=False,
        )
        return down, nn.Conv2d(rank, self.out_channels, 1, bias=False)


def matrix(layer: nn.Module) -> Tensor:
    """A layer's weights as a matrix, out × in; of a convolution the kernel's pixels count to in."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.flatten(1)


def check_rank(layer: nn.Module, rank: int, name: str = "rank") -> None:
    """Refuse a rank that no change of this layer can have.

    Raises:
        ValueError: if it is below 1 or larger than the smaller side of the layer's `matrix`.
    """
    checks.whole_at_least(1, **{name: rank})
    rows, columns = matrix(layer).shape
    if rank > min(rows, columns):
        raise ValueError(
            f"{name}: expected at most {min(rows, columns)}, as the layer is a matrix of "
            f"{rows} × {columns}, got {rank}"
        )
