"""What a layer asks for, in faltung's words, and the sizes that follow; sizes that are not known yet are None."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from faltung.errors import ShapeError
from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.geometry import window_size
from faltung.spec.layout import join_shape
from faltung.spec.options import ConvOptions
from faltung.spec.transposed import adjoint_spec

Shape = tuple[int, ...]
OpenShape = tuple[int | None, ...]
Padding = str | tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One convolution: the layer's name, the rank, the options, and what only a transposed one has.

    Kernels are Keras's: (*kernel_size, C_in/groups, C_out), and (*kernel_size, C_out, C_in) where it is transposed.
    Strides and dilation have an entry for each axis; padding is a word or pairs; `layout` is given.
    """

    name: str
    rank: int
    options: ConvOptions
    is_transposed: bool = False
    output_padding: Shape | None = None

    def with_options(self, **changes: Any) -> "Request":
        """The request with some options changed."""
        return replace(self, options=self.options._replace(**changes))

    @property
    def is_last(self) -> bool:
        """Whether channels come last."""
        return str(self.options.layout).endswith("C")

    @property
    def stride(self) -> Shape:
        """The step of the window on each axis."""
        return self.options.stride  # type: ignore[return-value]  # a layer has an entry for each axis

    def windows(self, kernel_shape: Shape) -> Shape:
        """The inputs that a window spans on each axis."""
        dilation: Any = self.options.dilation
        return tuple(map(window_size, kernel_shape[: self.rank], dilation))


@lru_cache(maxsize=4096)
def spec_of(request: Request, x_shape: Shape, kernel_shape: Shape, dtype: str, has_bias: bool = False) -> ConvSpec:
    """Return the spec of a forward convolution, or raise the error that names the layer, the rule and the remedy."""
    bias = (kernel_shape[-1:], dtype) if has_bias else (None, None)
    shapes = (x_shape, dtype, kernel_shape, dtype, *bias)
    return spec_from_call(request.name, *shapes, rank=request.rank, options=request.options)


@lru_cache(maxsize=4096)
def transposed_spec_of(
    request: Request, x_shape: Shape, kernel_shape: Shape, dtype: str, has_bias: bool = False
) -> ConvSpec:
    """Return the spec of the convolution that a transposed one is the adjoint of; its input is like the result.

    "causal" gives in*stride outputs, of which none depends on a later input.
    """
    options, more = request.options, request.output_padding
    if options.padding == "causal":
        ends = list(zip(request.windows(kernel_shape), request.stride, strict=True))
        options = options._replace(padding=tuple((0, max(window - step, 0)) for window, step in ends))
        more = tuple(max(step - window, 0) for window, step in ends)
    bias = (kernel_shape[-2:-1], dtype) if has_bias else (None, None)
    shapes = (x_shape, dtype, kernel_shape, dtype, *bias)
    return adjoint_spec(request.name, *shapes, rank=request.rank, options=options, output_padding=more)


def output_shape(request: Request, x_shape: OpenShape, kernel_shape: Shape) -> OpenShape:
    """Return the shape of the result, (*batch, *sizes, C_out) or channels first; what x leaves open stays open."""
    batch, open_sizes = _split(request, x_shape)
    sizes = tuple(_some_size(request, kernel_shape) if size is None else size for size in open_sizes)
    layout = str(request.options.layout)
    if request.is_transposed:
        some = join_shape(layout, (1,), kernel_shape[-1], sizes)
        out_channels, out_sizes = kernel_shape[-2], transposed_spec_of(request, some, kernel_shape, "float32").in_size
    else:
        some = join_shape(layout, (1,), kernel_shape[-2] * request.options.groups, sizes)
        out_channels, out_sizes = kernel_shape[-1], spec_of(request, some, kernel_shape, "float32").out_size
    kept = tuple(None if size is None else out for size, out in zip(open_sizes, out_sizes, strict=True))
    return (*batch, *kept, out_channels) if request.is_last else (*batch, out_channels, *kept)


def _split(request: Request, x_shape: OpenShape) -> tuple[OpenShape, OpenShape]:
    """Return batch and spatial sizes."""
    rank, is_last = request.rank, request.is_last
    if len(x_shape) < rank + 2 or (len(x_shape) > rank + 2 and not is_last):
        rule = f"x must have {rank + 2} axes{' or more' if is_last else ''}, ({', '.join(str(request.options.layout))})"
        remedy = "Merge the leading axes." if len(x_shape) > rank + 2 else "Add the missing axes."
        raise ShapeError(f"{request.name}: {rule}; got shape {x_shape}. {remedy}")
    batch = x_shape[: -rank - 1]
    return batch, x_shape[-rank - 1 : -1] if is_last else x_shape[2:]


def _some_size(request: Request, kernel_shape: Shape) -> int:
    """Return a size that no rule refuses, to stand for one that is not known yet."""
    windows = request.windows(kernel_shape)
    padding: Any = request.options.padding
    pairs = () if isinstance(padding, str) else padding
    return sum(windows) + sum(map(sum, pairs)) + max(request.stride)
