"""What a call asks for, with sizes still open: a graph is traced once for batches and lengths that only a run knows."""

from dataclasses import dataclass
from typing import Any

from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.layout import layouts
from faltung.tensorflow.tensors import Sizes

OPEN = 1 << 24
"""Stands for a size that is not known, in a spec that only says which the others are; any kernel fits into it."""


@dataclass(frozen=True)
class Asked:
    """The options of a convolution in faltung's words; `function` is the name that messages begin with."""

    function: str
    rank: int
    stride: Any = 1
    padding: Any = "valid"
    dilation: Any = 1
    groups: int = 1
    layout: str | None = None
    kernel_layout: str | None = None
    padding_mode: str = "zeros"
    precision: str = "high"

    @classmethod
    def of(cls, spec: ConvSpec) -> "Asked":
        """The options of a spec; its padding, as pairs, holds for every size."""
        names = ("stride", "padding", "dilation", "groups", "layout", "kernel_layout", "padding_mode", "precision")
        return cls(spec.name, spec.rank, *(getattr(spec, name) for name in names))

    @property
    def words(self) -> dict[str, Any]:
        """The keyword arguments of faltung's functions on arrays."""
        return {name: value for name, value in vars(self).items() if name not in ("function", "rank")}

    @property
    def is_channels_last(self) -> bool:
        """Is the channel the last axis of x?"""
        return self.layout is None or self.layout.upper() == layouts(self.rank)[0]

    def output_shape(self, x: Sizes, kernel: Sizes, x_dtype: str, kernel_dtype: str) -> Sizes:
        """The sizes of the result that follow from the sizes known, or one error that explains what is wrong."""
        channel = len(x) - 1 if self.is_channels_last else 1
        inputs = kernel[1 if (self.kernel_layout or "WIO").startswith("O") else -2]
        channels = (inputs or 1) * self.groups if isinstance(self.groups, int) else 1
        filled = tuple(
            size if size is not None else channels if axis == channel else OPEN for axis, size in enumerate(x)
        )
        taps = tuple(1 if size is None else size for size in kernel)
        spec = spec_from_call(self.function, filled, x_dtype, taps, kernel_dtype, rank=self.rank, **self.words)
        known = [size is not None or axis == channel for axis, size in enumerate(x)]
        if None in kernel:
            known = [k and axis < len(spec.batch) for axis, k in enumerate(known)]
        return tuple(size if is_known else None for size, is_known in zip(spec.output_shape, known, strict=True))
