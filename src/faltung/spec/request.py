"""From the arguments of a call to a spec: shapes become fields, and faults of the arrays get their message."""

import math

from faltung.errors import DtypeError, ShapeError
from faltung.spec.conv_spec import ConvSpec
from faltung.spec.dtype import check_dtype
from faltung.spec.layout import (
    RANKS,
    Shape,
    join_kernel_shape,
    kernel_layouts,
    layouts,
    resolve_kernel_layout,
    resolve_layout,
    split_kernel_shape,
    split_shape,
)
from faltung.spec.options import PLAIN, ConvOptions
from faltung.spec.rules import check_groups, integer, named, plain, spoken


def spec_from_call(
    function: str,
    x_shape: Shape,
    x_dtype: str,
    kernel_shape: Shape,
    kernel_dtype: str,
    bias_shape: Shape | None = None,
    bias_dtype: str | None = None,
    *,
    rank: int | None = None,
    options: ConvOptions = PLAIN,
) -> ConvSpec:
    """Return the spec of a call, or raise one error that names ``function``, the rule, the values and the remedy.

    >>> same = ConvOptions(padding="same")
    >>> spec_from_call("conv1d", (8, 100, 3), "float32", (5, 3, 16), "float32", rank=1, options=same)
    ConvSpec.from_text('conv1d n8 w100 ic3 oc16 kw5 pw2 f32')

    Arguments:
        function: the name that the message begins with.
        x_shape: sizes of x, in ``options.layout``.
        x_dtype: name of the element type of x, such as "float32" or "int64".
        kernel_shape: sizes of the kernel, in ``options.kernel_layout``.
        kernel_dtype: name of its element type.
        bias_shape: sizes of the bias; None for no bias.
        bias_dtype: name of its element type.
        rank: number of spatial axes; None takes it from the kernel.
        options: all else, in any spelling that ConvSpec takes.

    Raises:
        ShapeError, DtypeError: naming the cause.
    """
    arrays = {"x": (x_shape, x_dtype), "kernel": (kernel_shape, kernel_dtype)}
    with named(function, **arrays, rank=rank, **options.geometry()):
        dtype = one_dtype({"x": x_dtype, "kernel": kernel_dtype, "bias": bias_dtype})
        if rank is None:
            rank = _kernel_rank(kernel_shape)
        layout, kernel_layout = resolve_layout(options.layout, rank), resolve_kernel_layout(options.kernel_layout, rank)
        groups = integer("groups", options.groups, minimum=1)
        _check_kernel(kernel_shape, kernel_layout)
        kernel_size, inputs, outputs = split_kernel_shape(kernel_layout, kernel_shape)
        check_x_rank(x_shape, layout, inputs * groups)
        batch, channels, in_size = split_shape(layout, x_shape)
        if channels > 0:  # ConvSpec refuses none
            check_groups(groups, channels, outputs)
            _check_channels(x_shape, kernel_shape, layout, kernel_layout, groups)
        _check_bias(bias_shape, outputs)
        return ConvSpec(
            in_size=in_size,
            in_channels=channels,
            out_channels=outputs,
            kernel_size=kernel_size,
            batch=batch,
            stride=options.stride,
            padding=options.padding,
            dilation=options.dilation,
            groups=groups,
            layout=layout,
            kernel_layout=kernel_layout,
            padding_mode=options.padding_mode,
            bias=bias_shape is not None,
            activation=options.activation,
            precision=options.precision,
            dtype=dtype,
        )


def one_dtype(dtypes: dict[str, str | None]) -> str:
    """Return the one element type of all arrays."""
    given = {array: check_dtype(array, dtype) for array, dtype in dtypes.items() if dtype is not None}
    if len(set(given.values())) > 1:
        got = ", ".join(f"{array} {dtype}" for array, dtype in given.items())
        remedy = " and ".join(f'{array}.astype("float32")' for array, dtype in given.items() if dtype != "float32")
        raise DtypeError(f"{spoken(given, 'and')} must have one dtype; got {got}. Use {remedy}.")
    return given["x"]


def _kernel_rank(kernel_shape: Shape) -> int:
    rank = len(kernel_shape) - 2
    if rank not in RANKS:
        rule = "the kernel must have 3, 4 or 5 axes, one to three of them spatial"
        raise ShapeError(f"{rule}; got shape {plain(kernel_shape)}. Reshape it to {_wanted(kernel_layouts(1)[0])}.")
    return rank


def _wanted(kernel_layout: str) -> str:
    names = {"I": "in_channels/groups", "O": "out_channels"}
    return f"({', '.join(names.get(axis, f'k{axis.lower()}') for axis in kernel_layout)})"


def _check_kernel(kernel_shape: Shape, kernel_layout: str) -> None:
    """Refuse a kernel with a wrong number of axes or without numbers."""
    have, want = len(kernel_shape), len(kernel_layout)
    if have == want and 0 not in kernel_shape:
        return
    if have == want:
        rule = "the kernel must have at least one tap, one input and one output"
        raise ShapeError(f"{rule}; got shape {plain(kernel_shape)}. Check kernel_layout={kernel_layout!r}.")
    rule = f"the kernel must have {want} axes, {_wanted(kernel_layout)}"
    is_first = kernel_layout.startswith("O")
    remedy = "Reshape it."
    if have == want - 2:
        remedy = f"With one input and one output use kernel[{'None, None' if is_first else '..., None, None'}]."
    elif have == want - 1:
        one_input, one_output = (":, None", "None") if is_first else ("..., None, :", "..., None")
        remedy = f"With one input use kernel[{one_input}], with one output kernel[{one_output}]."
    elif have - 2 in RANKS:
        remedy = f"That is a kernel for conv{have - 2}d: call it, or reshape the kernel."
    raise ShapeError(f"{rule}; got shape {plain(kernel_shape)}. {remedy}")


def check_x_rank(x_shape: Shape, layout: str, in_channels: int) -> None:
    """Refuse x with too few axes, or with more than one batch axis before channels that come first."""
    have, want, is_last = len(x_shape), len(layout), layout.endswith("C")
    if have == want or (have > want and is_last):
        return
    more = " or more" if is_last else ""
    rule = f"x must have {want} axes{more}, ({', '.join(layout)})"
    batch, channel = "x[None]", "x[..., None]" if is_last else "x[:, None]"
    if have > want:
        merged = f"x.reshape(-1, *x.shape[{1 - want}:])"
        remedy = f"Merge the leading axes: {merged}, or use layout={layouts(want - 2)[0]!r}."
    elif have == want - 2:
        both = "x[None, ..., None]" if is_last else "x[None, None]"
        remedy = f"Add batch and channels: {both}."
    elif have < want - 2:
        remedy = "Add the missing axes."
    elif x_shape[-1 if is_last else 0] == in_channels:
        remedy = f"Add the batch axis: {batch}."
    elif in_channels == 1:
        remedy = f"Add the channel axis: {channel}."
    else:
        remedy = f"Add the missing axis: batch is {batch}, channels {channel}."
    raise ShapeError(f"{rule}; got shape {plain(x_shape)}. {remedy}")


def _check_channels(x_shape: Shape, kernel_shape: Shape, layout: str, kernel_layout: str, groups: int) -> None:
    """Refuse x and kernel that disagree on channels, and say which layout they would agree in."""
    rank = len(kernel_layout) - 2
    _, channels, _ = split_shape(layout, x_shape)
    kernel_size, inputs, outputs = split_kernel_shape(kernel_layout, kernel_shape)
    if inputs * groups == channels:
        return

    remedies = []
    other_layout = _other(layout, layouts(rank))
    if len(x_shape) == len(other_layout) and split_shape(other_layout, x_shape)[1] == inputs * groups:
        is_last = layout.endswith("C")
        kind, axes = ("channels-first", "1, -1") if is_last else ("channels-last", "-1, 1")
        remedies += [f"layout={other_layout!r} (x looks {kind})", f"np.moveaxis(x, {axes})"]
    other_kernel = _other(kernel_layout, kernel_layouts(rank))
    if split_kernel_shape(other_kernel, kernel_shape)[1] * groups == channels:
        remedies.append(f"kernel_layout={other_kernel!r} (the kernel looks like it)")
    if not remedies:
        if channels % inputs == 0 and outputs % (channels // inputs) == 0:
            remedies.append(f"groups={channels // inputs}")
        shape = join_kernel_shape(kernel_layout, kernel_size, channels // groups, outputs)
        remedies.append(f"a kernel of shape {plain(shape)}")

    axis = len(x_shape) - 1 if layout.endswith("C") else 1
    times = f" times {groups} groups" if groups > 1 else ""
    got = (
        f"{channels} on axis {axis} of x {plain(x_shape)}, {layout}, "
        f"but {inputs}{times} in the kernel {plain(kernel_shape)}, {kernel_layout}"
    )
    raise ShapeError(f"x and kernel must agree on in_channels; got {got}. Use {spoken(remedies)}.")


def _other(layout: str, pair: tuple[str, str]) -> str:
    return pair[layout == pair[0]]


def _check_bias(bias_shape: Shape | None, outputs: int) -> None:
    if bias_shape is None or bias_shape == (outputs,):
        return
    remedy = f"Give {outputs} numbers."
    if math.prod(bias_shape) == outputs:
        remedy = "Use bias.reshape(-1)."
    raise ShapeError(f"the bias must have shape ({outputs},), one for each output; got {plain(bias_shape)}. {remedy}")
