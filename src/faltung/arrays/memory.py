"""Options that make of small arrays what no memory holds are refused before anything is planned for them."""

import math
import os
from dataclasses import replace

from faltung.errors import ShapeError
from faltung.spec import ConvSpec
from faltung.spec.dtype import ITEM_BYTES
from faltung.spec.rules import plain


def check_memory(function: str, spec: ConvSpec) -> ConvSpec:
    """Return the spec, unless its padding makes a result, or a padded input, larger than this machine's memory."""
    if max(map(max, spec.padding)) <= max(spec.in_size, default=0):
        return spec
    some = spec if spec.num_samples else replace(spec, batch=(1,))  # no array has such sizes, not even an empty one
    padded = [low + size + high for size, (low, high) in zip(some.in_size, some.padding, strict=True)]
    is_written_out = some.padding_mode != "zeros"
    input_bytes = some.num_samples * some.in_channels * math.prod(padded) * ITEM_BYTES[some.dtype] * is_written_out
    needed, present = max(some.output_bytes, input_bytes), _memory_bytes()
    if needed <= present:
        return spec
    got = f"padding {plain(spec.padding)}, which needs {needed / 2**30:,.0f} GiB of {present / 2**30:,.0f}"
    raise ShapeError(f"{function}: the padded convolution must fit into memory; got {got}. Use less padding.")


def check_result(function: str, spec: ConvSpec) -> ConvSpec:
    """Return the spec of a transposed convolution, unless its result is larger than this machine's memory."""
    needed, present = spec.input_bytes, _memory_bytes()
    if needed <= present:
        return spec
    got = f"shape {plain(spec.input_shape)}, which needs {needed / 2**30:,.0f} GiB of {present / 2**30:,.0f}"
    raise ShapeError(f"{function}: the result must fit into memory; got {got}. Use a smaller stride or dilation.")


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 46
