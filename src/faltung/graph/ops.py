"""The ops of a graph: their inputs and attributes. Readers write them, passes rewrite them, the plan computes them.

`layout` is the host's order of axes ("NCW", "NWC", "NCHW" …), `padding` pairs (low, high) for each spatial axis, sizes
are tuples with one number for each spatial axis. Inputs in brackets may be absent, and are then left out at the end.

conv(x, kernel, [bias], then residual where `adds`)
    layout, kernel_layout ("OIW", "WIO" …), stride, dilation, groups, padding, padding_mode, has_bias, adds, activation
    ((name, parameter) or None)
conv_transpose(x, kernel, [bias])
    layout, kernel_layout (PyTorch's (C_in, C_out/groups, k) is "IOW", Keras's (k, C_out, C_in) "WOI"), stride,
    dilation, groups, padding (what is cropped at both ends of the full result), output_padding (numbers behind the full
    result, before cropping), activation, has_bias
dense(x, kernel, [bias])
    along the last axis; kernel_layout ("IO" or "OI"), activation, has_bias
map(up to four, broadcast as in NumPy)
    expression: nested tuples over input numbers (int) and constants (float), as ("relu", ("add", 0, 1))
batch_norm(x, mean, variance, [scale, shift])
    axis, epsilon, has_scale, has_shift
pool(x)
    kind ("max", "average"), layout, kernel_size, stride, dilation, padding, ceil_mode, counts_padding
adaptive_pool(x)
    kind, layout, out_size
reduce(x)
    kind ("mean", "sum", "max", "min", "variance", "std"), axes, keeps_axes, correction
layer_norm(x, [scale, shift])
    num_axes (trailing ones), epsilon, has_scale, has_shift
group_norm(x, [scale, shift])
    statistics of each sample and group; axis (of the channels), groups, epsilon, has_scale, has_shift
softmax(x)
    axis, is_log
concat(two or more)
    axis
slice(x)
    starts, stops, steps: one of each for each axis; None is the end, negative numbers count from it
pad(x)
    padding: pairs for every axis, negative ones crop; mode ("constant", "reflect", "replicate", "circular"), value
resize(x)
    layout, out_size, scale (factors, or None), mode ("nearest", "linear", "cubic"), coordinates ("half_pixel",
    "align_corners", "asymmetric", "nearest_exact")
reshape(x)
    shape: 0 keeps the axis of the same number, -1 takes what is left
transpose(x)
    axes
expand(x)
    shape; broadcasting made explicit
embedding(indices, table)
island(any)
    run (arrays → tuple of arrays), description, reason, shapes and dtypes of the outputs

Expressions know the functions of plan/expression.py: arithmetic, and every activation of spec/activation.py, with its
parameter behind its term.
"""

LEARNED = ("conv", "conv_transpose", "dense")
WINDOWS = ("pool", "adaptive_pool", "resize", "pad")
NORMS = ("batch_norm", "layer_norm", "group_norm", "softmax", "reduce")
REARRANGING = ("concat", "slice", "reshape", "transpose", "expand")
OPS = frozenset((*LEARNED, *WINDOWS, *NORMS, *REARRANGING, "map", "embedding", "island"))
