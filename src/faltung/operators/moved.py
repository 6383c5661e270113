"""A convolution by way of channels last: three launches, and two arrays between them."""

import numpy as np

from faltung.algorithms.moved.plan import MovedPlan
from faltung.runtime import buffers, pool
from faltung.runtime.launch import Array, Launch
from faltung.spec.dtype import ITEM_BYTES

_BYTES = np.dtype(np.uint8)


class MovedLaunch:
    """One plan, ready to run on arrays of its shapes and strides; safe under concurrent callers."""

    def __init__(self, plan: MovedPlan) -> None:
        self.plan = plan
        self._x_moved, self._inner, self._y_moved = map(Launch, (plan.x_moved, plan.inner, plan.y_moved))
        self._y_offset = plan.problem.y_offset * ITEM_BYTES[plan.problem.dtype]

    @property
    def workspace_bytes(self) -> int:
        """Workspace with the present number of threads."""
        return self.plan.shared_bytes + pool.get_num_threads() * self.plan.scratch_bytes

    def __call__(self, x: Array, kernel: Array, bias: Array | None, y: Array) -> None:
        """Compute into y; the arrays must be what the plan was made for."""
        x_last = buffers.empty((self.plan.x_bytes,), _BYTES, self.plan.x_bytes)
        y_last = buffers.empty((self.plan.y_bytes,), _BYTES, self.plan.y_bytes)
        self._x_moved(x, kernel, None, x_last)
        self._inner(x_last, kernel, bias, y_last)
        self._y_moved.at(y_last.ctypes.data, 0, 0, y.ctypes.data + self._y_offset)
