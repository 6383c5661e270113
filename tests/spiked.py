"""Numbers that tell direct summation from fast algorithms, which carry part of each input to its neighbours.

x and dy have one sample of a thousand million: outputs whose windows do not meet it must not know of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung import ConvSpec, reference

Array = NDArray[Any]


@dataclass(frozen=True)
class Spiked:
    """A convolution that a fast algorithm serves where it may, its operands and the derivative of its result."""

    spec: ConvSpec
    x: Array
    kernel: Array
    dy: Array

    def check(self, y: Array, dx: Array, dkernel: Array) -> None:
        """All three must lie within n*eps*sum(|a||b|) of the reference, as direct summation does, one by one."""
        spec = self.spec
        pairs = {
            "y": (y, reference.conv(self.x, self.kernel, spec=spec), reference.bound(self.x, self.kernel, spec=spec)),
            "dx": (
                dx,
                reference.input_gradient(self.dy, self.kernel, spec=spec),
                reference.input_gradient_bound(self.dy, self.kernel, spec=spec),
            ),
            "dkernel": (
                dkernel,
                reference.kernel_gradient(self.x, self.dy, spec=spec),
                reference.kernel_gradient_bound(self.x, self.dy, spec=spec),
            ),
        }
        for name, (ours, expected, bound) in pairs.items():
            assert np.all(abs(ours - expected) <= bound), f"{name} of {spec.to_text()}"


def spiked(text: str = "conv1d n4 w300 ic64 oc64 kw3 f32", **changes: Any) -> Spiked:
    """The convolution of a text, with some fields changed, to be summed directly."""
    spec = ConvSpec.from_text(text).replace(precision="exact", **changes)
    rng = np.random.default_rng(0)
    shapes = (spec.input_shape, spec.kernel_shape, spec.output_shape)
    x, kernel, dy = (rng.standard_normal(shape, dtype="f4") for shape in shapes)
    # x's meets one tap only, so that the others' gradients must not know of it
    axis = 1 if spec.is_channels_last else 2
    x, dy = (np.moveaxis(array, axis, -1) for array in (x, dy))
    x[0, 0, 20], dy[1, 0, 50], dy[0, :, 10:20], dy[0, :, 21:30] = 1e9, 1e9, 0, 0
    x, dy = (np.ascontiguousarray(np.moveaxis(array, -1, axis)) for array in (x, dy))
    return Spiked(spec, x, kernel, dy)
