"""faltung itself: the public function, on NumPy arrays, in both layouts."""

from functools import partial
from typing import ClassVar

import faltung as ft
from faltung.bench.peers.peer import Array, Call, Peer, Work, refuse
from faltung.bench.run import public_function
from faltung.runtime import buffers
from faltung.spec.options import options_of


class ChannelsLast(Peer):
    """`ft.conv1d` on NumPy arrays, channels last."""

    packages: ClassVar[tuple[str, ...]] = ("faltung", "numpy", "llvmlite")
    transposes = True

    def __init__(self, threads: int) -> None:
        ft.set_num_threads(threads)

    def prepare(self, work: Work) -> Call:
        """Return the public function with its arguments; gradients as soon as faltung has them."""
        x, kernel, bias, dy = work.x, work.kernel, work.bias, work.dy
        options = options_of(work.spec)._asdict()
        if work.is_transposed:
            del options["padding_mode"]
            transposed = partial(getattr(ft, f"{work.spec.name}_transpose"), **options)
            return lambda: transposed(x, kernel)
        convolve = public_function(work.spec)
        if dy is None:
            return lambda: convolve(x, kernel, bias)
        input_gradient, kernel_gradient = (getattr(ft, name, None) for name in ("input_gradient", "kernel_gradient"))
        if input_gradient is None or kernel_gradient is None:
            raise refuse("gradients are not yet supported")
        del options["activation"]
        size = work.spec.kernel_size

        def train() -> tuple[Array, Array, Array]:
            y = convolve(x, kernel, bias)
            return y, input_gradient(dy, kernel, x.shape, **options), kernel_gradient(x, dy, size, **options)

        return train

    def release(self) -> None:
        """Unmap recycled outputs and workspaces."""
        buffers.empty_cache()


class ChannelsFirst(ChannelsLast):
    """`ft.conv1d(layout="NCW", kernel_layout="OIW")` on NumPy arrays: the data of PyTorch's users."""

    layout, kernel_layout = "ncw", "OIW"
