"""Activation checkpointing: forget on the way forward, compute once more on the way back.

A gradient needs what every layer was given. A brick that recomputes keeps only what it was given
itself, and finds the rest again when its turn comes: the same gradients for less memory and a
second way forward.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from edudiff.layers.attention import PixelAttention
from edudiff.layers.gpt import Block
from edudiff.layers.joint_transformer import JointTransformerBlock
from edudiff.layers.modulated_resnet import ModulatedResnet
from edudiff.layers.pixel_text_attention import PixelTextAttention
from edudiff.layers.pixel_transformer import PixelTransformer
from edudiff.layers.resnet import ResnetBlock
from edudiff.layers.transformer import EncoderLayer

BRICKS = (
    ResnetBlock,
    PixelAttention,
    PixelTransformer,
    ModulatedResnet,
    PixelTextAttention,
    EncoderLayer,
    JointTransformerBlock,
    Block,
)
"""Layers that are large enough to be worth it, none of them inside another."""


def recompute(network: nn.Module) -> int:
    """Let every brick of a network forget its activations whenever gradients are wanted.

    Names and values of parameters stay as they are. Whatever is drawn, as by dropout, is drawn
    the same the second time.

    Args:
        network: changed in place.

    Returns:
        How many bricks that are.

    Source:
        Chen et al. 2016 (arXiv:1604.06174), section 4. In PyTorch: `torch.utils.checkpoint`; in
        diffusers: `enable_gradient_checkpointing`.
    """
    bricks = [module for module in network.modules() if isinstance(module, BRICKS)]
    for brick in bricks:
        setattr(brick, "forward", partial(_forgetting, brick.forward))  # noqa: B010
    return len(bricks)


def _forgetting(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    options: dict[str, Any] = {"use_reentrant": False, "context_fn": _ways}
    return checkpoint(forward, *args, **options, **kwargs)


def _ways() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The second way uses the attention of the first, though its `with sdpa_kernel` has ended."""
    allowed = {
        SDPBackend.MATH: cuda.math_sdp_enabled(),
        SDPBackend.FLASH_ATTENTION: cuda.flash_sdp_enabled(),
        SDPBackend.EFFICIENT_ATTENTION: cuda.mem_efficient_sdp_enabled(),
        SDPBackend.CUDNN_ATTENTION: cuda.cudnn_sdp_enabled(),
    }
    return nullcontext(), sdpa_kernel([kind for kind, is_allowed in allowed.items() if is_allowed])
