"""How much memory a computation needs at its worst moment, counted and not estimated.

It counts on any device, also on "meta", where nothing is computed: so a laptop can say what a
network far too large for it would need.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """Counts bytes of the tensors that are made in a `with` block and live at the same time.

    What was there before, such as weights and inputs, does not count, and neither does what a
    kernel uses inside itself. Views of a tensor take no memory of their own. Without
    `torch.no_grad()` the tensors kept for the way back count too, as they should.

    Attributes:
        bytes: of the worst moment.
        now: of this moment.
        largest: of the largest tensor.

    Source:
        In PyTorch, for CUDA alone and with the weights: `torch.cuda.max_memory_allocated`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.now = self.largest = 0
        self._alive: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Let the operation run, and look at what it has made."""
        kwargs = kwargs or {}
        given = {_place(each) for each in tree_leaves([args, kwargs]) if isinstance(each, Tensor)}
        made = func(*args, **kwargs)
        for each in tree_leaves(made):
            if isinstance(each, Tensor) and _place(each) not in given:
                self._count(each.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._alive:
            return
        self.now += size
        self.largest = max(self.largest, size)
        self.bytes = max(self.bytes, self.now)
        self._alive[place] = weakref.finalize(storage, self._forget, place, size)
        self._alive[place].atexit = False

    def _forget(self, place: int, size: int) -> None:
        self.now -= size
        del self._alive[place]


def _place(tensor: Tensor) -> int:
    """What two views of the same memory have in common."""
    return tensor.untyped_storage()._cdata
