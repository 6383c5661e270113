"""What a layer asks for, in faltung's words, and the sizes that follow; sizes that are not known yet are None."""

from dataclasses import dataclass
from functools import lru_cache

from faltung.errors import ShapeError
from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.geometry import window_size
from faltung.spec.layout import join_shape, layouts
from faltung.spec.transposed import adjoint_spec

Shape = tuple[int, ...]
OpenShape = tuple[int | None, ...]
Padding = str | tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """The options of one convolution.

    Kernels are Keras's: (*kernel_size, C_in/groups, C_out), and (*kernel_size, C_out, C_in) where it is transposed.
    """

    name: str
    rank: int
    stride: Shape
    padding: Padding
    dilation: Shape
    groups: int = 1
    is_last: bool = True
    padding_mode: str = "zeros"
    is_transposed: bool = False
    output_padding: Shape | None = None
    activation: str | None = None

    @property
    def layout(self) -> str:
        """The order of the axes of x and of the result."""
        return layouts(self.rank)[0 if self.is_last else 1]

    def windows(self, kernel_shape: Shape) -> Shape:
        """The inputs that a window spans on each axis."""
        return tuple(map(window_size, kernel_shape[: self.rank], self.dilation))


@lru_cache(maxsize=4096)
def spec_of(request: Request, x_shape: Shape, kernel_shape: Shape, dtype: str, has_bias: bool = False) -> ConvSpec:
    """Return the spec of a forward convolution, or raise the error that names the layer, the rule and the remedy."""
    return spec_from_call(
        request.name,
        *(x_shape, dtype, kernel_shape, dtype),
        *((kernel_shape[-1:], dtype) if has_bias else (None, None)),
        rank=request.rank,
        stride=request.stride,
        padding=request.padding,
        dilation=request.dilation,
        groups=request.groups,
        layout=request.layout,
        padding_mode=request.padding_mode,
        activation=request.activation,
    )


@lru_cache(maxsize=4096)
def transposed_spec_of(
    request: Request, x_shape: Shape, kernel_shape: Shape, dtype: str, has_bias: bool = False
) -> ConvSpec:
    """Return the spec of the convolution that a transposed one is the adjoint of; its input is like the result.

    "causal" gives in*stride outputs, of which none depends on a later input.
    """
    padding, more = request.padding, request.output_padding
    if padding == "causal":
        ends = list(zip(request.windows(kernel_shape), request.stride, strict=True))
        padding = tuple((0, max(window - step, 0)) for window, step in ends)
        more = tuple(max(step - window, 0) for window, step in ends)
    return adjoint_spec(
        request.name,
        *(x_shape, dtype, kernel_shape, dtype),
        *((kernel_shape[-2:-1], dtype) if has_bias else (None, None)),
        rank=request.rank,
        stride=request.stride,
        padding=padding,
        output_padding=more,
        dilation=request.dilation,
        layout=request.layout,
        activation=request.activation,
    )


def output_shape(request: Request, x_shape: OpenShape, kernel_shape: Shape) -> OpenShape:
    """Return the shape of the result, (*batch, *sizes, C_out) or channels first; what x leaves open stays open."""
    batch, open_sizes = _split(request, x_shape)
    sizes = tuple(_some_size(request, kernel_shape) if size is None else size for size in open_sizes)
    layout = request.layout
    if request.is_transposed:
        some = join_shape(layout, (1,), kernel_shape[-1], sizes)
        out_channels, out_sizes = kernel_shape[-2], transposed_spec_of(request, some, kernel_shape, "float32").in_size
    else:
        some = join_shape(layout, (1,), kernel_shape[-2] * request.groups, sizes)
        out_channels, out_sizes = kernel_shape[-1], spec_of(request, some, kernel_shape, "float32").out_size
    kept = tuple(None if size is None else out for size, out in zip(open_sizes, out_sizes, strict=True))
    return (*batch, *kept, out_channels) if request.is_last else (*batch, out_channels, *kept)


def _split(request: Request, x_shape: OpenShape) -> tuple[OpenShape, OpenShape]:
    """Return batch and spatial sizes."""
    rank, is_last = request.rank, request.is_last
    if len(x_shape) < rank + 2 or (len(x_shape) > rank + 2 and not is_last):
        rule = f"x must have {rank + 2} axes{' or more' if is_last else ''}, ({', '.join(request.layout)})"
        remedy = "Merge the leading axes." if len(x_shape) > rank + 2 else "Add the missing axes."
        raise ShapeError(f"{request.name}: {rule}; got shape {x_shape}. {remedy}")
    batch = x_shape[: -rank - 1]
    return batch, x_shape[-rank - 1 : -1] if is_last else x_shape[2:]


def _some_size(request: Request, kernel_shape: Shape) -> int:
    """Return a size that no rule refuses, to stand for one that is not known yet."""
    windows = request.windows(kernel_shape)
    pairs = () if isinstance(request.padding, str) else request.padding
    return sum(windows) + sum(map(sum, pairs)) + max(request.stride)
