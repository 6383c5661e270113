"""What PyTorch tells only by private names, all of them here: another version may lack one.

Then `IS_INCOMPLETE`, and every call goes through PyTorch's dispatcher: it serves all who watch, and takes longer.
"""

from collections.abc import Callable
from typing import Any

from torch import _C
from torch.autograd import forward_ad, profiler
from torch.utils import _python_dispatch

_missing: list[str] = []


def _question(owner: object, name: str, answer: object) -> Callable[[], Any]:
    """The function of that name; where there is none, one that gives this answer."""
    if not hasattr(owner, name):
        _missing.append(name)
    return getattr(owner, name, lambda: answer)


are_transforms_active = _question(_C, "_are_functorch_transforms_active", False)
"""Is a transform of torch.func at work, such as vmap or grad?"""
num_dispatch_modes = _question(_C, "_len_torch_dispatch_stack", 0)
"""How many modes see each operator, as those that trace programs do?"""
is_function_mode_active = _question(_C, "_is_torch_function_mode_enabled", False)
"""Does a mode see each function of PyTorch's, such as `torch.device` as a context?"""
tracing_state = _question(_C, "_get_tracing_state", None)
"""What torch.jit.trace has written down so far; None if nobody traces."""

for _owner, _name in ((profiler, "_is_profiler_enabled"), (forward_ad, "_current_level")):
    if not hasattr(_owner, _name):
        _missing.append(_name)


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

IS_INCOMPLETE = bool(_missing)
"""Is it unknown to this version who watches?"""
