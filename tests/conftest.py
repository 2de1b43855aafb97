"""What every room's tests share."""

import os

os.environ.pop("TQDM_DISABLE", None)  # tqdm reads it when imported, and some tests read its bars

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import jaxtyping
import pytest
import torch

Refusal = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Weights are drawn from the global state; every test starts at the same place in it."""
    torch.manual_seed(20)


@pytest.fixture
def generator() -> torch.Generator:
    """A fresh source of randomness, always the same."""
    return torch.Generator().manual_seed(7)


@pytest.fixture
def refusal() -> Refusal:
    """`with refusal("eps: expected"):` demands a ValueError that says so.

    Inside it the shape hook is off: readers run the package without the hook, so what a docstring
    promises under "Raises" must come from the package itself.
    """

    @contextmanager
    def expect(message: str) -> Iterator[None]:
        before = jaxtyping.config.jaxtyping_disable
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            with pytest.raises(ValueError, match=message):
                yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", before)

    return expect


@pytest.fixture(params=["cpu", "cuda", "mps"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device this machine has."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[request.param]:
        pytest.skip(f"this machine has no {request.param}")
    return torch.device(request.param)
