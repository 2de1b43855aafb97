"""Several processes divide a network's weights among them, so that nobody holds everything.

A brick's weights are gathered when it is their turn, on the way forward and again on the way back,
and forgotten afterwards; gradients are averaged and scattered, and the optimiser keeps averages of
its own share only.

From outside nothing is to be seen of it. A divided network and its optimiser hand out whole states
and take whole states up, so that a checkpoint fits any number of processes, divided or not. But
whatever asks for a state, or for an answer of the network, must do so in all processes at once.
"""

import os
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from edudiff.training.ema import EMA
from edudiff.training.job import Job, Thrift
from edudiff.training.recompute import BRICKS

WORD = "ACCELERATE_USE_FSDP"
"""What `accelerate launch` puts into the environment if its configuration says to shard."""


def as_configured(thrift: Thrift) -> Thrift:
    """Take note of a configuration file of accelerate that says to shard, as configs/sharded.yaml.

    The word is taken out of the environment, and `shard` does it in accelerate's place: that would
    divide what it is handed, which is what learns, and of a LoRA nearly everything is frozen; and
    without a GPU it would not divide at all, without a word.
    """
    told = os.environ.pop(WORD, "false").lower() == "true"
    return replace(thrift, shard=True) if told else thrift


def shard(job: Job, ema: EMA | None = None) -> None:
    """Divide the networks of a job that can be divided, and the average of one, in place.

    Every process must hold the same weights before. Parameters elsewhere in the job's network, and
    in its optimiser, become those of the divided networks.

    Args:
        job: before its first step; the networks are on their device.
        ema: the average of the job's network.

    Raises:
        ValueError: if something that learns cannot be divided, or there are not several processes.

    Source:
        Rajbhandari et al. 2020 (arXiv:1910.02054), stage 3. In PyTorch: `fully_shard`.
    """
    roots = list(job.divisible)
    learning = {p for p in job.network.parameters() if p.requires_grad}
    if not roots or not learning <= {p for root in roots for p in root.parameters()}:
        raise ValueError("shard: expected a recipe whose networks can be divided, such as lora")
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        raise ValueError("shard: expected several processes to divide the weights among, got one")
    if ema is not None and any(root is job.network for root in roots):
        roots.append(ema.module)
    new = {old: divided for root in roots for old, divided in _divide(root).items()}
    for module in job.network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, new.get(parameter, parameter))
    for group in job.optimizer.param_groups:
        group["params"] = [new.get(parameter, parameter) for parameter in group["params"]]
    for network in {*roots, job.network}:
        network.register_state_dict_post_hook(_whole_state)
        network.register_load_state_dict_pre_hook(_divided_state)
    job.optimizer.register_state_dict_post_hook(_whole_averages)
    job.optimizer.register_load_state_dict_pre_hook(_divided_averages)


def _divide(root: nn.Module) -> dict[nn.Parameter, nn.Parameter]:
    """Brick by brick, and at last what is in none; out come the new parameters for the old."""
    from torch.distributed.fsdp import fully_shard  # not in every PyTorch that runs the rest

    before = dict(root.named_parameters())
    for brick in [module for module in root.modules() if isinstance(module, BRICKS)]:
        if brick is not root:
            fully_shard(brick, reshard_after_forward=True)
    fully_shard(root, reshard_after_forward=True)
    after = dict(root.named_parameters())
    return {before[name]: after[name] for name in before}


def _whole(value: Any) -> Any:
    """All of a tensor that is divided; everything else as it is."""
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def _share_of(value: Any, like: Tensor) -> Any:
    """This process's share of a value, if it belongs to a parameter that is divided."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or getattr(value, "shape", None) != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _whole_state(network: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    for name, value in state.items():
        state[name] = _whole(value)


def _divided_state(network: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    for name, parameter in network.named_parameters(prefix.removesuffix(".")):
        if name in state:
            state[name] = _share_of(state[name], parameter)


def _whole_averages(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    averages = {
        k: {name: _whole(value) for name, value in each.items()}
        for k, each in state["state"].items()
    }
    return {**state, "state": averages}


def _divided_averages(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    averages = {
        k: {name: _share_of(value, parameters[k]) for name, value in each.items()}
        for k, each in state["state"].items()
    }
    return {**state, "state": averages}
