"""SciPy: correlation of signals with a single channel."""

from typing import ClassVar

import numpy as np

from faltung.bench.peers.peer import Array, Call, Peer, Work, refuse, refuse_other_options


class SciPy(Peer):
    """`scipy.signal.correlate`, which chooses between direct summation and FFT; a single channel only."""

    packages: ClassVar[tuple[str, ...]] = ("scipy",)

    def __init__(self, threads: int) -> None:
        import scipy.fft
        import scipy.signal

        self.signal, self.fft, self.threads = scipy.signal, scipy.fft, threads

    def prepare(self, work: Work) -> Call:
        """Return a call that pads the signal, if need be, and correlates it."""
        spec, bias = work.spec, work.bias
        if work.is_training:
            raise refuse("has no gradients")
        refuse_other_options(spec)
        if not spec.in_channels == spec.out_channels == 1:
            raise refuse("signals with a single channel only")
        if any(size != 1 for size in (*spec.stride, *spec.dilation)):
            raise refuse("stride 1 and dilation 1 only")
        # samples lie on an axis of their own, on which the kernel has length 1
        x = work.x.reshape(spec.num_samples, *spec.in_size)
        kernel = work.kernel.reshape(1, *spec.kernel_size)
        pads = ((0, 0), *spec.padding) if any(map(any, spec.padding)) else None

        def call() -> Array:
            with self.fft.set_workers(self.threads):
                y = self.correlate(x if pads is None else np.pad(x, pads), kernel)
            y = y if bias is None else y + bias
            return np.maximum(y, 0) if spec.activation else y

        return call

    def correlate(self, x: Array, kernel: Array) -> Array:
        """Correlate a signal with a kernel of as many axes."""
        return self.signal.correlate(x, kernel, mode="valid")


class SciPyOverlapAdd(SciPy):
    """`scipy.signal.oaconvolve`: FFT of blocks, for long signals; a single channel only."""

    def correlate(self, x: Array, kernel: Array) -> Array:
        """Convolve with the flipped kernel."""
        return self.signal.oaconvolve(x, np.flip(kernel), mode="valid")
