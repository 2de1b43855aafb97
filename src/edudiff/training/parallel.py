"""One batch, several processes: who takes which rows, and how rows see each other again."""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import PartialState
from accelerate.state import GradientState
from accelerate.utils import gather
from jaxtyping import Float
from torch import Tensor


def share(batch: Mapping[str, Tensor], index: int, count: int) -> dict[str, Tensor]:
    """The rows of process `index` of `count`: consecutive, equally many for each.

    Args:
        batch: the whole batch, tensors with one row per example.
        index: which process, from 0.
        count: how many processes there are.

    Raises:
        ValueError: if tensors differ in their number of rows or these cannot be shared equally.
    """
    lengths = {name: len(rows) for name, rows in batch.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"batch: expected equally many rows everywhere, got {lengths}")
    whole = next(iter(lengths.values()))
    if whole % count:
        raise ValueError(f"batch: expected rows for {count} processes to share, got {whole}")
    rows = slice(index * whole // count, (index + 1) * whole // count)
    return {name: tensor[rows] for name, tensor in batch.items()}


class _GatherRows(torch.autograd.Function):
    """Each process computes the same loss L of all rows and averages gradients with the others.

    So it must answer for its own rows alone, times the number of processes: the average over
    processes is then the gradient of L.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.first, ctx.number = PartialState().process_index * len(rows), len(rows)
        return gather(rows.contiguous())

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return PartialState().num_processes * slope[ctx.first : ctx.first + ctx.number]


def gather_rows(rows: Float[Tensor, " b *shape"]) -> Float[Tensor, " all *shape"]:
    """The rows of all processes, in the order of the whole batch, differentiable.

    For losses that compare the rows of a batch with each other: compute the loss of *all* rows in
    every process. With one process, these are the rows themselves.

    Raises:
        ValueError: if the rows are only a part of the process's own, as other parts cannot be
            compared with them any more, or not yet.
    """
    parts = GradientState().num_steps
    if parts != 1:
        raise ValueError(
            f"accumulate: expected 1 for a loss that compares the rows of a batch, got {parts}"
        )
    if PartialState().num_processes == 1:
        return rows
    return _GatherRows.apply(rows)
