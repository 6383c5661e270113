"""What the networks share: settled numbers."""

from math import prod, sqrt
from typing import Any

import keras
import numpy as np


def settled(model: keras.Model) -> keras.Model:
    """Return the model with seeded numbers, on every backend the same.

    Kernels are He's, which keep the size of what flows through; norms have scales, shifts and running statistics that
    are not trivial, as training leaves them.
    """
    random = np.random.default_rng(0)

    def number(variable: Any) -> Any:
        shape = tuple(variable.shape)
        if variable.name in ("gamma", "moving_variance"):
            return random.uniform(0.5, 1.5, shape)
        if len(shape) < 2:
            return 0.1 * random.standard_normal(shape)
        fan_in = prod(shape[:-2] if "depthwise" in variable.path else shape[:-1])
        return sqrt(2.0 / fan_in) * random.standard_normal(shape)

    model.set_weights([number(variable).astype("float32") for variable in model.weights])
    return model
