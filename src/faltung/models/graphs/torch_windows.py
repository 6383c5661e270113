"""PyTorch's ops over windows: pools, reductions, softmax, resizing."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import fx

from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.torch_nodes import Reader
from faltung.models.graphs.torch_weighted import layout, sizes_of


def _pool(
    r: Reader,
    input: fx.Node,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    *,
    kind: str,
    rank: int,
    dilation: Any = 1,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> str:
    if divisor_override is not None:
        raise NotCovered("an average with a divisor of its own")
    return r.emit(
        "pool",
        [input],
        kind=kind,
        layout=layout(r, input, rank),
        kernel_size=sizes_of(kernel_size, rank),
        stride=sizes_of(stride or kernel_size, rank),
        dilation=sizes_of(dilation, rank),
        padding=tuple((p, p) for p in sizes_of(padding, rank)),
        ceil_mode=ceil_mode,
        counts_padding=kind == "average" and count_include_pad,
    )


def _adaptive_pool(r: Reader, input: fx.Node, output_size: Any, *, kind: str, rank: int) -> str:
    where, sizes = layout(r, input, rank), sizes_of(output_size, rank)
    if set(sizes) == {1}:
        return r.emit(
            "reduce",
            [input],
            kind="mean" if kind == "average" else "max",
            axes=tuple(range(2, rank + 2)),
            keeps_axes=True,
            correction=0,
        )
    return r.emit("adaptive_pool", [input], kind=kind, layout=where, out_size=sizes)


def _reduce(
    r: Reader,
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    kind: str,
    correction: float = 0,
    dtype: Any = None,
    of: fx.Node | None = None,
    **_: Any,
) -> str:
    """`of` is the node whose shape and type `input` has, where that is a value."""
    of = of or input
    if dtype is not None and dtype != of.meta["val"].dtype:
        raise NotCovered(f"a sum in {dtype}")
    if correction != int(correction):
        raise NotCovered(f"a correction of {correction}")
    rank = len(r.shape(of))
    given = range(rank) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    axes = tuple(sorted(axis % rank for axis in given))
    return r.emit("reduce", [input], kind=kind, axes=axes, keeps_axes=keepdim, correction=int(correction))


def _spread(
    r: Reader,
    input: fx.Node,
    dim: Any = None,
    unbiased: bool = True,
    correction: float | None = None,
    keepdim: bool = False,
    *,
    kind: str,
) -> str:
    """Variance or standard deviation: PyTorch's correction is 1 where none is said."""
    taken_off = float(unbiased) if correction is None else correction
    return _reduce(r, input, dim, keepdim, kind=kind, correction=taken_off)


def _spread_and_mean(
    r: Reader, input: fx.Node, dim: Any = None, keepdim: bool = False, *, kind: str, **how: Any
) -> tuple[str, str]:
    spread = _spread(r, input, dim, keepdim=keepdim, kind=kind, **how)
    return spread, _reduce(r, input, dim, keepdim, kind="mean")


def _norm(r: Reader, input: fx.Node, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> str:
    if ord == 2:
        total = _reduce(r, r.map(lambda x: ("square", x), input), dim, keepdim, kind="sum", of=input, dtype=dtype)
        return r.map(lambda x: ("sqrt", x), total)
    kind = {1: "sum", float("inf"): "max", float("-inf"): "min"}.get(ord)
    if kind is None:
        raise NotCovered(f"a norm of order {ord}")
    return _reduce(r, r.map(lambda x: ("abs", x), input), dim, keepdim, kind=kind, of=input, dtype=dtype)


def _logsumexp(r: Reader, input: fx.Node, dim: Any, keepdim: bool = False) -> str:
    """The largest comes off first; a row of nothing but infinity stays what it is."""
    most = float(torch.finfo(input.meta["val"].dtype).max)
    largest = r.map(lambda x: ("clip", x, -most, most), _reduce(r, input, dim, True, kind="max"))
    total = _reduce(r, r.map(lambda x, m: ("exp", ("sub", x, m)), input, largest), dim, keepdim, kind="sum", of=input)
    if not keepdim:
        largest = _reduce(r, largest, dim, kind="max", of=input)  # of one number: only the axes go
    return r.map(lambda x, m: ("add", ("log", x), m), total, largest)


def _with_indices(function: Callable[..., str]) -> Callable[..., tuple[str, None]]:
    """An op that returns indices too, which are not computed."""
    return lambda r, **arguments: (function(r, **arguments), None)


def _softmax(
    r: Reader, input: fx.Node, dim: int, *, is_log: bool, dtype: Any = None, half_to_float: bool = False
) -> str:
    if half_to_float or (dtype is not None and dtype != input.meta["val"].dtype):
        raise NotCovered("a softmax that changes the type of numbers")
    return r.emit("softmax", [input], axis=dim % len(r.shape(input)), is_log=is_log)


def _resize(
    r: Reader,
    input: fx.Node,
    output_size: Sequence[int] | None,
    *,
    mode: str,
    coordinates: str,
    rank: int,
    align_corners: bool = False,
    scale_factors: Sequence[float] | None = None,
    **scales: float | None,
) -> str:
    """Overloads .vec give factors in a list, others one by one beside the size that follows from them."""
    single = [factor for factor in scales.values() if factor is not None]
    factors = scale_factors or (single if len(single) == rank else None)
    return r.emit(
        "resize",
        [input],
        layout=layout(r, input, rank),
        out_size=None if factors else tuple(output_size or ()),
        scale=tuple(factors) if factors else None,
        mode=mode,
        coordinates="align_corners" if align_corners else coordinates,
    )


def _by_rank(names: str, function: Callable[..., Any], **how: Any) -> dict[str, Callable[..., Any]]:
    """A row for each rank, where "*" stands for it."""
    return {names.replace("*", str(rank)): partial(function, rank=rank, **how) for rank in (1, 2, 3)}


def _resizes(names: Sequence[str], mode: str, coordinates: str) -> dict[str, Callable[..., Any]]:
    """Rows for both overloads; the digit in a name is the rank."""
    rows: dict[str, Callable[..., Any]] = {}
    for name in names:
        rank = int(name[-2])
        for overload in ("default", "vec"):
            rows[f"{name}.{overload}"] = partial(_resize, mode=mode, coordinates=coordinates, rank=rank)
    return rows


TABLE: dict[str, Callable[..., Any]] = {
    **_by_rank("max_pool*d.default", _pool, kind="max"),
    **_by_rank("avg_pool*d.default", _pool, kind="average"),
    "max_pool1d_with_indices.default": _with_indices(partial(_pool, kind="max", rank=1)),
    "max_pool2d_with_indices.default": _with_indices(partial(_pool, kind="max", rank=2)),
    "max_pool3d_with_indices.default": _with_indices(partial(_pool, kind="max", rank=3)),
    **_by_rank("adaptive_avg_pool*d.default", _adaptive_pool, kind="average"),
    "_adaptive_avg_pool2d.default": partial(_adaptive_pool, kind="average", rank=2),
    "_adaptive_avg_pool3d.default": partial(_adaptive_pool, kind="average", rank=3),
    "adaptive_max_pool1d.default": _with_indices(partial(_adaptive_pool, kind="max", rank=1)),
    "adaptive_max_pool2d.default": _with_indices(partial(_adaptive_pool, kind="max", rank=2)),
    "adaptive_max_pool3d.default": _with_indices(partial(_adaptive_pool, kind="max", rank=3)),
    **dict.fromkeys(("mean.dim", "mean.default"), partial(_reduce, kind="mean")),
    **dict.fromkeys(("sum.dim_IntList", "sum.default"), partial(_reduce, kind="sum")),
    **dict.fromkeys(("amax.default", "max.default"), partial(_reduce, kind="max")),
    **dict.fromkeys(("amin.default", "min.default"), partial(_reduce, kind="min")),
    "max.dim": _with_indices(partial(_reduce, kind="max")),
    "min.dim": _with_indices(partial(_reduce, kind="min")),
    **dict.fromkeys(("var.default", "var.dim", "var.correction"), partial(_spread, kind="variance")),
    **dict.fromkeys(("std.default", "std.dim", "std.correction"), partial(_spread, kind="std")),
    **dict.fromkeys(
        ("var_mean.default", "var_mean.dim", "var_mean.correction"), partial(_spread_and_mean, kind="variance")
    ),
    **dict.fromkeys(("std_mean.default", "std_mean.dim", "std_mean.correction"), partial(_spread_and_mean, kind="std")),
    "linalg_vector_norm.default": _norm,
    "logsumexp.default": _logsumexp,
    **dict.fromkeys(("softmax.int", "_softmax.default"), partial(_softmax, is_log=False)),
    **dict.fromkeys(("log_softmax.int", "_log_softmax.default"), partial(_softmax, is_log=True)),
    **_resizes(["upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"], "nearest", "asymmetric"),
    **_resizes(
        ["_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"],
        "nearest",
        "nearest_exact",
    ),
    **_resizes(["upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"], "linear", "half_pixel"),
    **_resizes(["upsample_bicubic2d"], "cubic", "half_pixel"),
}
