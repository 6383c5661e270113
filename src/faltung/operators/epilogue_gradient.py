"""The gradient of bias and activation as an operator on arrays."""

from functools import lru_cache
from math import prod

import numpy as np

from faltung.algorithms.epilogue_gradient import plan as epilogue_gradient
from faltung.plan.plan import Plan
from faltung.runtime import buffers, processor
from faltung.runtime.launch import Array, Launch
from faltung.spec import ConvSpec


class EpilogueGradient:
    """dz = dy * activation'(z) and the gradient of the bias, sum(dz) over samples and positions, in one pass."""

    def __init__(self, outputs: epilogue_gradient.Outputs) -> None:
        self.outputs = outputs
        self._dtype = np.dtype(outputs.dtype)
        self.plan: Plan | None = None
        self._launch: Launch | None = None
        if outputs.size:
            self.plan = epilogue_gradient.plan(outputs, processor.current())
            self._launch = Launch(self.plan)

    def run(self, dy: Array, source: Array | None, dz: Array | None = None) -> tuple[Array, Array | None]:
        """Compute dz and the gradient of the bias, None without one, from contiguous arrays.

        `source` is y or z, as the activation needs it; without activation dz is dy. An array for dz may be `source`.
        """
        outputs = self.outputs
        if outputs.activation is None:
            dz = dy
        elif dz is None:
            dz = buffers.empty(dy.shape, self._dtype, dy.nbytes)
        db = np.empty(outputs.channels, self._dtype) if outputs.has_bias else None
        if self._launch is not None:
            self._launch(dy, dy if source is None else source, db, dz)
        elif db is not None:
            db[...] = 0
        return dz, db

    def sum_at(self, dy: int, db: int) -> None:
        """Sum at least one number at the address dy into the gradient of the bias at db; without activation."""
        assert self._launch is not None
        self._launch.at(dy, dy, db, dy)


@lru_cache(maxsize=1024)
def epilogue_gradient_of(spec: ConvSpec) -> EpilogueGradient:
    """The compiled gradient of the spec's bias and activation."""
    return _compiled(
        epilogue_gradient.Outputs(
            spec.num_samples,
            spec.out_channels,
            prod(spec.out_size),
            spec.is_channels_last,
            spec.bias,
            spec.activation,
            spec.activation_parameter,
            spec.dtype,
            spec.precision,
        )
    )


@lru_cache(maxsize=1024)
def bias_gradient_of(
    shape: tuple[int, ...], is_channels_last: bool, dtype: str, precision: str = "high"
) -> EpilogueGradient:
    """The compiled sum over all axes but the channels', the last or the second."""
    channels = shape[-1 if is_channels_last else 1]
    positions = prod(shape[1:-1] if is_channels_last else shape[2:])
    return _compiled(
        epilogue_gradient.Outputs(shape[0], channels, positions, is_channels_last, True, None, None, dtype, precision)
    )


_compiled = lru_cache(maxsize=1024)(EpilogueGradient)
