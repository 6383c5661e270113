"""Requests for what stands between the convolutions of a network: they reach its programs in all their forms."""

from collections.abc import Iterator
from typing import Any

from faltung.algorithms.group_norm import plan as group_norm
from faltung.algorithms.layer_norm import plan as layer_norm
from faltung.algorithms.map import plan as map_
from faltung.algorithms.pool import plan as pool
from faltung.algorithms.reduce import plan as reduce
from faltung.algorithms.reduce.kernel import KINDS
from faltung.algorithms.resample import plan as resample
from faltung.algorithms.softmax import plan as softmax
from faltung.machine.target import Target
from faltung.plan.plan import Plan

FUNCTIONS = ("add", ("mul", 0, ("sin", ("erf", 1))), ("log", ("pow", 2, 1.5)))


def plans_of_passes(target: Target, dtype: str) -> Iterator[Plan]:
    """Yield plans of every kind for one target."""
    for strides in (((33, 1), (0, 1), (33, 0)), ((33, 1), (1, 9), (33, 0)), ((33, 1), (33, 2), (66, 2))):
        yield map_.plan(map_.Map((9, 33), strides, (33, 1), FUNCTIONS, dtype), target)
    yield map_.plan(map_.Map((9, 33), ((33, 1),), (99, 3), 0, dtype), target)
    yield map_.plan(map_.Map((9, 33), ((1, 9),), (33, 1), 0, dtype), target)
    for strides_, result in ((((1, 5),), (99, 1)), (((99, 1),), (1, 5))):
        yield map_.plan(map_.Map((5, 99), strides_, result, 0, dtype), target)
    yield map_.plan(map_.Map((9, 33), (), (33, 1), 1.0, dtype), target)
    for kind in ("max", "mean"):
        for size in (2, 9):
            for counts_padding in (True, False):
                yield pool.plan(_pool(kind, size, counts_padding, dtype), target)
    for kind in KINDS:
        for reduced, inner in ((100, 1), (100, 9), (9000, 1), (300, 9)):
            yield reduce.plan(reduce.Reduce(kind=kind, outer=2, reduced=reduced, inner=inner, dtype=dtype), target)
    for is_there in (True, False):
        options: Any = {"epsilon": 1e-5, "has_scale": is_there, "has_shift": is_there, "dtype": dtype}
        yield layer_norm.plan(layer_norm.LayerNorm(num_rows=3, size=40, **options), target)
        for groups in (4, 40):
            sizes = {"num_samples": 2, "positions": 30, "channels": 40, "groups": groups}
            yield group_norm.plan(group_norm.GroupNorm(**sizes, **options), target)
        for inner in (1, 9):
            yield softmax.plan(softmax.Softmax(outer=2, axis=9, inner=inner, is_log=is_there, dtype=dtype), target)
        for index in ("int32", "int64"):
            strides_of = {"x_strides": (630, 70), "y_strides": (630, 70)}
            sizes = {"outer": 2, "out_size": 9, "inner": 70, "taps": 1 + is_there}
            request = resample.Resample(**sizes, **strides_of, has_weights=is_there, index_dtype=index, dtype=dtype)
            yield resample.plan(request, target)


def _pool(kind: str, size: int, counts_padding: bool, dtype: str) -> pool.Pool:
    return pool.Pool(
        kind=kind,
        num_samples=1,
        in_size=(9, 9),
        out_size=(10 - size, 10 - size),
        channels=40,
        kernel_size=(size, size),
        stride=(1, 1),
        dilation=(1, 1),
        low=(0, 0),
        high=(0, 0),
        counts_padding=counts_padding,
        x_strides=(3240, 360, 40),
        y_strides=(3240, 360, 40),
        dtype=dtype,
    )
