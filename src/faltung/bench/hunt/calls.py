"""What a hunt times: a convolution or a gradient by faltung, and by PyTorch on the same arrays, in two forms.

PyTorch's forms are its two memory formats. Data in the other one is brought into it and back inside of the call, as a
user with such data would have to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import faltung as ft
from faltung.bench.arrays import canonical_kernel, random_arrays, random_output_gradient
from faltung.errors import FaltungError
from faltung.operators.gradients import InputGradient, KernelGradient
from faltung.spec import ConvSpec

Array = NDArray[Any]
Call = Callable[[], Any]

FORMS = {"torch": False, "torch-2d": True}
"""PyTorch's forms by the names of the benchmark's peers: is it channels_last?"""


@dataclass(frozen=True)
class Data:
    """The arrays of one convolution."""

    spec: ConvSpec
    mode: str
    x: Array
    kernel: Array
    bias: Array | None
    dy: Array
    """Empty in a forward convolution."""

    @classmethod
    def of(cls, spec: ConvSpec, mode: str) -> "Data":
        """Random ones, the same every time."""
        dy = np.empty(0, spec.dtype) if mode == "forward" else random_output_gradient(spec)
        return cls(spec, mode, *random_arrays(spec), dy)


def our_call(data: Data) -> Call:
    """The call of faltung."""
    if data.mode == "forward":
        convolution = ft.compile(data.spec)
        return lambda: convolution(data.x, data.kernel, data.bias)
    if data.mode == "kernel-gradient":
        kernel_gradient = KernelGradient(data.spec)
        return lambda: kernel_gradient.run(data.x, data.dy)
    input_gradient = InputGradient(data.spec)  # what a transposed convolution is, too
    return lambda: input_gradient.run(data.dy, data.kernel)


class Torch:
    """PyTorch on one thread."""

    def __init__(self) -> None:
        try:
            import torch
        except ImportError:
            raise FaltungError("bench: a hunt compares with PyTorch; got none. Install torch.") from None
        self.torch = torch
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)

    def call(self, data: Data, form: str) -> Call:
        """The call of PyTorch in one of `FORMS`; it returns a tensor in the layout of the data."""
        torch, spec, is_last = self.torch, data.spec, FORMS[form]
        rank = max(spec.rank, 2) if is_last else spec.rank  # channels_last is of images: sequences have a height of 1
        added = rank - spec.rank
        memory_format = (
            (torch.channels_last_3d if rank == 3 else torch.channels_last) if is_last else torch.contiguous_format
        )
        weight = torch.from_numpy(
            np.ascontiguousarray(np.moveaxis(canonical_kernel(data.kernel, spec), (-1, -2), (0, 1)))
        )
        weight = self._longer(weight, added).contiguous(memory_format=memory_format)
        bias = None if data.bias is None else torch.from_numpy(data.bias)

        def given(array: Array) -> Any:
            tensor = torch.from_numpy(array)
            tensor = tensor.movedim(-1, 1) if spec.is_channels_last else tensor
            return self._longer(tensor, added).contiguous(memory_format=memory_format)

        def answered(tensor: Any) -> Any:
            tensor = tensor.squeeze(2) if added else tensor
            return (tensor.movedim(1, -1) if spec.is_channels_last else tensor).contiguous()

        stride, dilation = ((1,) * added + values for values in (spec.stride, spec.dilation))
        padding = (0,) * added + tuple(low for low, _ in spec.padding)
        places = (stride, padding, dilation)
        backward = torch.ops.aten.convolution_backward
        nothing = [0] * rank
        x, dy = data.x, data.dy
        if data.mode == "forward":
            convolve = getattr(torch.nn.functional, f"conv{rank}d")
            activate = self._activation(spec)
            return lambda: answered(activate(convolve(given(x), weight, bias, *places, spec.groups)))
        if data.mode == "kernel-gradient":

            def kernel_gradient() -> Any:
                options = (None, *places, False, nothing, spec.groups, (False, True, False))
                return backward(given(dy), given(x), weight, *options)[1]

            return kernel_gradient
        if data.mode == "transposed":
            convolve = getattr(torch.nn.functional, f"conv_transpose{rank}d")
            least = [
                (out - 1) * s + d * (k - 1) + 1 - low - high
                for out, s, d, k, (low, high) in zip(
                    spec.out_size, spec.stride, spec.dilation, spec.kernel_size, spec.padding, strict=True
                )
            ]
            longer = (0,) * added + tuple(size - n for size, n in zip(spec.in_size, least, strict=True))
            return lambda: answered(convolve(given(dy), weight, None, stride, padding, longer, spec.groups, dilation))
        options = (None, *places, False, nothing, spec.groups, (True, False, False))
        like = given(x)  # its numbers are not read
        return lambda: answered(backward(given(dy), like, weight, *options)[0])

    def arrays(self, result: Any, data: Data) -> Array:
        """PyTorch's result in the form of faltung's."""
        array: Array = result.numpy()
        if data.mode != "kernel-gradient":
            return array
        array = array.reshape(*array.shape[:2], *data.spec.kernel_size)
        return array if data.spec.kernel_layout.startswith("O") else np.moveaxis(array, (0, 1), (-1, -2))

    def _longer(self, tensor: Any, added: int) -> Any:
        return tensor.unsqueeze(2) if added else tensor

    def _activation(self, spec: ConvSpec) -> Callable[[Any], Any]:
        functional = self.torch.nn.functional
        if spec.activation is None:
            return lambda y: y
        if spec.activation in ("relu", "leaky_relu", "elu"):
            known = () if spec.activation_parameter is None else (spec.activation_parameter,)
            in_place = getattr(functional, spec.activation)
            return lambda y: in_place(y, *known, inplace=True)
        if spec.activation in ("tanh", "sigmoid"):
            function = getattr(self.torch, f"{spec.activation}_")
            return lambda y: function(y)
        function = getattr(functional, spec.activation)
        return lambda y: function(y)
