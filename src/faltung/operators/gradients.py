"""The gradients of a convolution as operators on arrays: input gradient (a set of convolutions) and kernel gradient."""

from functools import lru_cache

import numpy as np

from faltung.algorithms.algorithm import AnyPlan
from faltung.algorithms.choose import choose_kernel_gradient, choose_plan
from faltung.operators.activation import activate
from faltung.operators.executor import Executor, executor_of
from faltung.operators.padding import SOURCES
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime import buffers, processor
from faltung.runtime.launch import Array
from faltung.spec import ConvSpec
from faltung.spec.geometry import of_padded_input


class InputGradient:
    """dx from dy and the kernel: the adjoint of the spec's convolution.

    With padding that repeats the input, the gradient of the padded input is computed first and its border folded back.
    A bias and an activation of the spec are those of dx, as a transposed convolution has them; a gradient has none.
    """

    def __init__(self, spec: ConvSpec) -> None:
        self.spec = spec
        self._folds = spec.padding_mode != "zeros"
        self._inner = of_padded_input(spec) if self._folds else spec
        problems, self._leaves_some = adjoint_problems(Problem.of(self._inner)) if spec.output_bytes else ([], True)
        self.plans = [choose_plan(problem, processor.current()) for problem in problems]
        self._launches = [executor_of(plan) for plan in self.plans]
        self._dtype = np.dtype(spec.dtype)
        self._needs_alignment = any(isinstance(p, Plan) and p.kernel.has_streaming_stores for p in self.plans)

    def run(self, dy: Array, kernel: Array, bias: Array | None = None, out: Array | None = None) -> Array:
        """Compute dx from contiguous arrays of the spec's shapes."""
        dx = self._new() if out is None or self._folds or self._is_misaligned(out) else out
        if self._leaves_some:
            self._fill(dx, bias)
        for launch in self._launches:
            launch(dy, kernel, bias, dx)
        if self._folds:
            dx = _fold(dx, self.spec)
        if out is None or out is dx:
            return dx
        out[...] = dx
        return out

    def _is_misaligned(self, out: Array) -> bool:
        return self._needs_alignment and out.ctypes.data % buffers.VECTOR_ALIGNMENT != 0

    def _fill(self, dx: Array, bias: Array | None) -> None:
        """What no window met: what the epilogue makes of the bias alone, zero where there is none."""
        spec = self.spec
        alone = np.zeros(spec.in_channels) if bias is None else bias.astype(np.float64)
        shape = [1] * dx.ndim
        shape[-1 if spec.is_channels_last else 1] = -1
        dx[...] = activate(alone, spec.activation, spec.activation_parameter).reshape(shape)

    def _new(self) -> Array:
        return buffers.empty(self._inner.input_shape, self._dtype, self._inner.input_bytes)


def _fold(padded: Array, spec: ConvSpec) -> Array:
    """Add the gradient of each padded position to the input position that it repeats, axis after axis."""
    first = len(spec.batch) if spec.is_channels_last else 2
    for axis, (size, (low, high)) in enumerate(zip(spec.in_size, spec.padding, strict=True), first):
        if not low and not high:
            continue
        inside: list[slice | int] = [slice(None)] * padded.ndim
        inside[axis] = slice(low, low + size)
        folded = padded[tuple(inside)].copy()
        repeated = SOURCES[spec.padding_mode](np.arange(-low, size + high), size)
        for index in (*range(low), *range(low + size, low + size + high)):
            source, to = inside.copy(), inside.copy()
            source[axis], to[axis] = index, int(repeated[index])
            folded[tuple(to)] += padded[tuple(source)]
        padded = folded
    return np.ascontiguousarray(padded)


class KernelGradient:
    """dw from x and dy: the gradient of the sum of y * dy with respect to the kernel, without activation."""

    def __init__(self, spec: ConvSpec) -> None:
        self.spec = spec
        self._dtype = np.dtype(spec.dtype)
        self.plan: AnyPlan | None = None
        self._launch: Executor | None = None
        if spec.output_bytes:
            self.plan = choose_kernel_gradient(Problem.of(spec), processor.current())
            self._launch = executor_of(self.plan)

    def run(self, x: Array, dy: Array, out: Array | None = None) -> Array:
        """Compute dw from contiguous arrays of the spec's shapes."""
        spec = self.spec
        dw = buffers.empty(spec.kernel_shape, self._dtype, spec.kernel_bytes) if out is None else out
        if self._launch is None:
            dw[...] = 0
        else:
            self._launch(x, dy, None, dw)
        return dw


@lru_cache(maxsize=1024)
def kernel_gradient_of(spec: ConvSpec) -> KernelGradient:
    """The compiled kernel gradient; equal specs share one."""
    return KernelGradient(spec)


@lru_cache(maxsize=1024)
def input_gradient_of(spec: ConvSpec) -> InputGradient:
    """The compiled input gradient; equal specs share one."""
    return InputGradient(spec)
