"""The fast path: tensors of known shapes and strides go to a compiled kernel by their addresses.

Everything that a call is told is one key. The first call of its kind checks, plans and compiles; a later one is a
lookup and one native call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faltung.algorithms.choose import choose_plan
from faltung.arrays.calls import Calls, facts_of
from faltung.plan.in_place import strides_in_place
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime import buffers, processor
from faltung.runtime.launch import Launch
from faltung.spec import spec_from_call
from faltung.spec.options import ConvOptions
from faltung.torch import operators, threads
from faltung.torch.options import lies_last, of_spec, resolve, with_memory_order
from faltung.torch.tensors import TO_FIRST, as_array, as_kernel

Computation = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_calls: Calls[Computation] = Calls()


@dataclass(frozen=True, slots=True)
class FastPath:
    """A compiled convolution for tensors of known shapes, strides and type."""

    launch: Launch
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    num_bytes: int
    axes: tuple[int, ...]

    def __call__(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve; the tensors must be as planned, and in this process's memory."""
        y = torch.from_numpy(buffers.empty(self.shape, self.dtype, self.num_bytes).transpose(self.axes))
        self.launch.at(x.data_ptr(), kernel.data_ptr(), 0 if bias is None else bias.data_ptr(), y.data_ptr())
        return y


def prepared(rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Computation:
    """What convolves tensors like these, with options as spelled: the operator where a kernel cannot read them."""
    key = (
        x.dtype,
        x.shape,
        x.stride(),
        kernel.shape,
        kernel.stride(),
        None if bias is None else (bias.shape, bias.stride()),
        options,
        type(options.stride),  # since 1 == True == 1.0
        type(options.padding),
        type(options.dilation),
        type(options.groups),
    )
    found = _calls.find(key)
    if found is not None:
        return found
    if (as_tuples := options._replace(**{name: _as_tuple(getattr(options, name)) for name in SIZES})) != options:
        return prepared(rank, x, kernel, bias, as_tuples)  # no lists, which a key cannot hold
    return _calls.keep(key, _prepare(rank, x, kernel, bias, options))


SIZES = ("stride", "padding", "dilation")


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _prepare(rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Computation:
    """Check the call, plan and compile it."""
    threads.share_once()
    if x.shape[1] == kernel.shape[1] == 0:
        return partial(_by_operator, options=resolve(rank, x, kernel, options))
    options = with_memory_order(rank, x, kernel, options)
    is_last = lies_last(options)
    array, (kernel_array, kernel_layout) = as_array(x, channels_last=is_last), as_kernel(kernel)
    facts = facts_of(array, kernel_array, None if bias is None else as_array(bias))
    spec = spec_from_call(f"conv{rank}d", *facts, rank=rank, options=options._replace(kernel_layout=kernel_layout))
    by_operator = partial(_by_operator, options=of_spec(spec))
    strides = strides_in_place(spec, array)
    are_in_order = kernel_array.flags.c_contiguous and (bias is None or bias.is_contiguous())
    if strides is None or not are_in_order or not spec.output_bytes:
        return by_operator
    plan = choose_plan(Problem.of(spec, strides), processor.current())
    if not isinstance(plan, Plan):
        return by_operator  # an FFT works on arrays
    axes = TO_FIRST[len(spec.output_shape)] if is_last else tuple(range(len(spec.output_shape)))
    return FastPath(Launch(plan), spec.output_shape, np.dtype(spec.dtype), spec.output_bytes, axes)


def _by_operator(x: Tensor, kernel: Tensor, bias: Tensor | None, *, options: ConvOptions) -> Tensor:
    return operators.convolve(x, kernel, bias, options)
