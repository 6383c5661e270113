"""What happens in a convolution of arrays: arguments → spec → plan → kernel → array, remembered by its call."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy import ndarray
from numpy.typing import NDArray

from faltung.arrays.calls import Calls, arrays_of, copied, facts_of, is_in_order, key_of
from faltung.arrays.memory import check_memory
from faltung.arrays.no_channels import copied_to, without_channels
from faltung.operators.convolution import Convolution
from faltung.plan.in_place import strides_in_place
from faltung.spec import spec_from_call
from faltung.spec.options import ConvOptions

Array = NDArray[Any]

_calls: "Calls[Prepared]" = Calls()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A convolution for arrays of known shapes, strides and types; some are copied first where no kernel reads them."""

    function: str
    convolution: Convolution
    copies: tuple[bool, ...] | None
    kernel_shape: tuple[int, ...] | None
    """Of the grouped kernel that a depthwise one is; None where it is that already."""
    run: Callable[[Array, Array, Array | None], Array] | None
    """What is called with the arrays as they come; None where something is done to them first."""

    def __call__(self, x: Array, kernel: Array, bias: Array | None, out: Array | None) -> Array:
        """Convolve arrays like those that it was prepared for."""
        if out is not None:
            self.convolution.check_out(out, x, kernel, bias, self.function)
        if self.kernel_shape is not None:
            kernel = kernel.reshape(self.kernel_shape)
        if self.copies is not None:
            x, kernel, bias = copied(self.copies, x, kernel, bias)
        return self.convolution.run(x, kernel, bias, out)


Prepare = Callable[[str, int | None, Array, Array, Array | None, ConvOptions], Prepared]


def prepare(
    function: str,
    rank: int | None,
    x: Array,
    kernel: Array,
    bias: Array | None,
    options: ConvOptions,
    kernel_shape: tuple[int, ...] | None = None,
) -> Prepared:
    """Check the call, plan and compile it."""
    if kernel_shape is not None:
        kernel = kernel.reshape(kernel_shape)
    spec = check_memory(function, spec_from_call(function, *facts_of(x, kernel, bias), rank=rank, options=options))
    strides = strides_in_place(spec, x)
    copies = (strides is None, not is_in_order(kernel), bias is not None and not is_in_order(bias))
    convolution = Convolution(spec, strides)
    run = None if any(copies) or kernel_shape is not None else convolution.run
    return Prepared(function, convolution, copies if any(copies) else None, kernel_shape, run)


def convolve(
    function: str,
    rank: int | None,
    x: Any,
    kernel: Any,
    bias: Any,
    options: ConvOptions,
    out: Array | None,
    prepare: Prepare = prepare,
) -> Array:
    """Convolve arrays, or what becomes some; ``function`` is the name of the public function that was called."""
    if type(x) is not ndarray or type(kernel) is not ndarray or (bias is not None and type(bias) is not ndarray):
        x, kernel, bias = arrays_of(function, x, kernel, bias, optional=1)
    key = key_of(function, options, x, kernel, bias)
    prepared = _calls.find(key)
    if prepared is None:
        if 0 in kernel.shape and function.startswith("conv"):
            of_stand_ins: Any = partial(convolve, function, rank, options=options, out=None)
            y = without_channels(of_stand_ins, x, kernel, bias, options)
            if y is not None:
                return y if out is None else copied_to(function, out, y)
        prepared = _calls.keep(key, prepare(function, rank, x, kernel, bias, options))
    if out is None and prepared.run is not None:
        return prepared.run(x, kernel, bias)
    return prepared(x, kernel, bias, out)
