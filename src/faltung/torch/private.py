"""What PyTorch tells only by private names, all of them here: another version may lack one.

Each has an answer for then. Three of them cannot be guessed: without them a call would not notice that it is traced,
batched or derived. They stand in MISSING, and PyTorch's own kernels compute everything, as `why` says.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import _C, Tensor
from torch.autograd import forward_ad, profiler
from torch.utils import _python_dispatch

MISSING = [
    name
    for owner, name in (
        (_C, "_are_functorch_transforms_active"),
        (_C, "_len_torch_dispatch_stack"),
        (forward_ad, "_current_level"),
    )
    if not hasattr(owner, name)
]
"""The names without which nobody can tell who watches."""


def _question(name: str, answer: Callable[[], Any]) -> Callable[[], Any]:
    """PyTorch's function of that name; where there is none, the answer."""
    return getattr(_C, name, answer)


are_transforms_active = _question("_are_functorch_transforms_active", lambda: False)
"""Is a transform of torch.func at work, such as vmap or grad?"""
num_dispatch_modes = _question("_len_torch_dispatch_stack", lambda: 0)
"""How many modes see each operator, as those that trace programs do?"""
is_function_mode_active = _question("_is_torch_function_mode_enabled", lambda: False)
"""Does a mode see each function of PyTorch's, such as `torch.device` as a context?"""
tracing_state = _question("_get_tracing_state", lambda: torch.jit.is_tracing() or None)  # type: ignore[attr-defined]
"""What torch.jit.trace has written down so far; None if nobody traces."""


def is_profiled() -> bool:
    """Is a profiler writing down operators and their times?"""
    return getattr(profiler, "_is_profiler_enabled", False)


def is_in_forward_mode() -> bool:
    """May tensors carry tangents? Levels of forward-mode derivatives count from 0."""
    return getattr(forward_ad, "_current_level", -1) >= 0


is_traceable_wrapper: Callable[[object], bool] = getattr(
    _python_dispatch, "is_traceable_wrapper_subclass", lambda tensor: hasattr(tensor, "__tensor_flatten__")
)
"""Is the tensor a wrapper around others, as DTensor is?"""

LIBRARY: str | None = getattr(_C, "__file__", None)
"""The file of PyTorch's own library; None, the program itself, if it does not tell."""


# ---- the vmap of old, which torch.autograd.grad(is_grads_batched=True) runs on

is_batched_by_old_vmap: Callable[[Tensor], bool] = getattr(
    getattr(_C, "_functorch", None), "is_legacy_batchedtensor", lambda tensor: False
)
"""Has the tensor an axis that only the vmap of old sees?"""


@contextmanager
def innermost_vmap() -> Iterator[int]:
    """The level of the innermost vmap of old, which is left for the time of the block."""
    _C._vmapmode_increment_nesting()
    level = _C._vmapmode_decrement_nesting()
    _C._vmapmode_decrement_nesting()
    try:
        yield level
    finally:
        _C._vmapmode_increment_nesting()


def without_batch(value: Any, level: int) -> Any:
    """A batched tensor with the axis of that level in front, of size 1 where it has none; anything else as it is."""
    if isinstance(value, Tensor) and is_batched_by_old_vmap(value):
        return torch._remove_batch_dim(value, level, 1, 0)
    return value


def with_batch(tensor: Tensor, axis: int, level: int) -> Tensor:
    """The tensor with that axis hidden: what a vmap of old calls batched."""
    return torch._add_batch_dim(tensor, axis, level)
