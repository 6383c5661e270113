"""A compiled convolution: `conv = compile(spec)`, then `conv(x, kernel, bias)` as often as you like."""

import sys
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from faltung.algorithms.algorithm import AnyPlan
from faltung.algorithms.choose import choose_plan
from faltung.errors import DtypeError, ShapeError
from faltung.operators.executor import Executor, executor_of
from faltung.operators.out import check_out
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem, Strides
from faltung.runtime import buffers, launch, processor
from faltung.runtime.launch import Array, Launch
from faltung.spec import ConvSpec, named
from faltung.spec.dtype import check_dtype
from faltung.spec.rules import brief


class Convolution:
    """One ConvSpec, planned and compiled for this processor.

    >>> import faltung as ft
    >>> conv = ft.compile(ft.ConvSpec.from_text("conv1d n8 w100 ic16 oc32 kw3 sw2 same relu f32"))
    >>> conv.algorithm
    'direct_nhwc'
    >>> conv(np.zeros((8, 100, 16), "f4"), np.zeros((3, 16, 32), "f4")).shape
    (8, 50, 32)
    """

    def __init__(self, spec: ConvSpec, x: Strides | None = None) -> None:
        self.spec = spec
        self._shape = spec.output_shape
        self._input_shape, self._kernel_shape = spec.input_shape, spec.kernel_shape
        self._dtype = np.dtype(spec.dtype)
        self._output_bytes = spec.output_bytes
        self.plan: AnyPlan | None = None
        self._launch: Executor | None = None
        self._needs_alignment = False
        if spec.output_bytes:
            self.plan = choose_plan(Problem.of(spec, x), processor.current())
            self._launch = executor_of(self.plan)
            self._needs_alignment = isinstance(self.plan, Plan) and self.plan.kernel.has_streaming_stores

    def __call__(self, x: Array, kernel: Array, bias: Array | None = None, out: Array | None = None) -> Array:
        """Convolve arrays of exactly the spec's shapes and element type; `out` receives the result if given."""
        spec = self.spec
        if out is not None:
            self.check_out(out, x, kernel, bias)
        x = self._checked("x", x, self._input_shape)
        kernel = self._checked("kernel", kernel, self._kernel_shape)
        if (bias is not None) != spec.bias:
            state = "has a bias" if spec.bias else "has no bias"
            got = "None" if bias is None else "an array"
            remedy = f"Compile {spec.replace(bias=not spec.bias).to_text()!r}."
            raise ShapeError(f"{spec.name}: the compiled spec {state}; got bias={got}. {remedy}")
        if bias is not None:
            bias = self._checked("bias", bias, (spec.out_channels,))
        return self.run(x, kernel, bias, out)

    def _checked(self, name: str, array: Array, shape: tuple[int, ...]) -> Array:
        if type(array) is np.ndarray and array.dtype == self._dtype and array.shape == shape:
            return np.ascontiguousarray(array)
        array = as_array(array)
        with named(self.spec.name):
            check_dtype(name, array.dtype.name)
        if array.shape != shape:
            raise ShapeError(
                f"{self.spec.name}: {name} must have the shape of the compiled spec; got {array.shape}, compiled for "
                f"{shape}. Compile a spec for this shape, or call ft.{self.spec.name}, which does."
            )
        if array.dtype.name != self.spec.dtype:
            raise DtypeError(
                f"{self.spec.name}: {name} must be {self.spec.dtype}, as compiled; got {array.dtype.name}. "
                f"Convert it with {name}.astype({self.spec.dtype!r})."
            )
        return np.ascontiguousarray(array, dtype=self._dtype)

    def run(self, x: Array, kernel: Array, bias: Array | None, out: Array | None = None) -> Array:
        """Convolve arrays that are known to be as planned, `out` too: the hot path, without any check."""
        if out is None:
            y = buffers.empty(self._shape, self._dtype, self._output_bytes)
        else:
            y = out
            if not out.flags.c_contiguous or (self._needs_alignment and out.ctypes.data % buffers.VECTOR_ALIGNMENT):
                out[...] = self.run(x, kernel, bias)
                return out
        if self._launch is not None:
            self._launch(x, kernel, bias, y)
        return y

    def check_out(self, out: Array, x: Array, kernel: Array, bias: Array | None, function: str | None = None) -> None:
        """Refuse an `out` that cannot receive the result of these inputs; `function` is what was called."""
        check_out(function or self.spec.name, out, self._shape, self._dtype, x=x, kernel=kernel, bias=bias)

    @property
    def algorithm(self) -> str:
        """The name of the algorithm chosen; "empty" where there is nothing to compute."""
        return self.plan.algorithm if self.plan else "empty"

    @property
    def flops(self) -> int:
        """Two for each multiply-add of direct summation."""
        return self.spec.flops

    @property
    def bytes_moved(self) -> int:
        """Bytes of all arrays, each once."""
        return self.spec.bytes_moved

    @property
    def workspace_bytes(self) -> int:
        """Memory a call needs besides its arrays: the packed kernel or its spectra, and scratch for each thread."""
        return self._launch.workspace_bytes if self._launch else 0

    @property
    def compile_seconds(self) -> float:
        """What it took to compile the kernel, or to load it from disk; nothing where NumPy computes."""
        return self._launch.program.seconds if isinstance(self._launch, Launch) else 0.0

    def explain(self) -> str:
        """What was chosen, why, and why not the others."""
        spec = self.spec
        lines = [spec.to_text(), *(f"  {axis}" for axis in map(spec.size_formula, range(spec.rank)))]
        lines.append(f"  {spec.macs:,} multiply-adds, {spec.bytes_moved:,} bytes")
        if self.plan is None:
            return "\n".join([*lines, "  empty: the result has no elements"])
        lines += [f"  {reason}" for reason in self.plan.reasons]
        lines.append(f"  {self.plan.num_tasks} tasks for the threads, {self.workspace_bytes:,} bytes of workspace")
        return "\n".join(lines)

    def assembly(self) -> str:
        """The kernel as assembly text; empty where there is nothing to compute, or where NumPy computes it by FFT."""
        return launch.assembly_of(self.plan.kernel) if isinstance(self.plan, Plan) else ""


HOMES = {
    "torch.Tensor": "faltung.torch.functional",
    "jax.Array": "faltung.jax",
    "tensorflow.Tensor": "faltung.tensorflow",
    "tensorflow.Variable": "faltung.tensorflow",
}
"""Classes of frameworks → whose functions compute with them: as arrays they would lose their gradients in silence."""


def as_array(value: ArrayLike) -> Array:
    """The value as an array; of objects if its rows differ in length, which check_dtype explains.

    Raises:
        DtypeError: if it is a framework's tensor.
    """
    if type(value) is np.ndarray:
        return value
    for name, home in HOMES.items():
        framework, _, kind_name = name.partition(".")
        kind = getattr(sys.modules.get(framework), kind_name, None)  # never imported by us
        if isinstance(kind, type) and isinstance(value, kind):
            rule = f"faltung's functions on arrays take NumPy's; got a {name}"
            raise DtypeError(f"{rule}. Use {home}, which returns one too, or pass its numbers as an array.")
    try:
        return np.asarray(value)
    except ValueError:
        return np.empty((), dtype=object)


def compile_spec(spec: ConvSpec) -> Convolution:
    """Plan and compile a convolution for contiguous arrays; equal specs share one."""
    if not isinstance(spec, ConvSpec):
        got = f"{brief(spec)} of type {type(spec).__name__}"
        raise ShapeError(f"compile: spec must be a ConvSpec; got {got}. Use ConvSpec.from_text(…).")
    return _compiled(spec)


_compiled = lru_cache(maxsize=1024)(Convolution)


__all__ = ["Convolution", "compile_spec"]
