"""The worker that knows what is right and what is possible: it computes references and measures the bounds."""

import pickle
from pathlib import Path

from faltung.bench import arrays, machine
from faltung.bench.case import read_case
from faltung.bench.check import expect, flat_batch
from faltung.bench.gradients import expect_gradients, expect_input_gradient
from faltung.bench.machine import Machine, Peak, Stream, memory
from faltung.bench.run import bytes_read
from faltung.runtime import pool

CHOICE_SECONDS = 0.05


class Referee:
    """What the peers of a case are measured against, on as many threads as they have."""

    def __init__(self, threads: int) -> None:
        pool.set_num_threads(threads)

    def machine(self) -> Machine:
        """Measure the machine."""
        return machine.measure()

    def prepare(self, text: str, is_training: bool, expected_file: str) -> tuple[int, int]:
        """Write what the results must be into a file; return the flops and bytes of the case."""
        asked = read_case(text)
        spec = arrays.canonical(asked.spec)
        x, kernel, bias = arrays.random_arrays(spec)
        flops = spec.flops
        if asked.is_transposed:
            dy = flat_batch(arrays.random_output_gradient(spec), spec)
            expected = [[expect_input_gradient(kernel, dy, spec)]]
            self._read, self._written = spec.output_bytes + spec.kernel_bytes, spec.input_bytes
        else:
            expected = [expect(x, kernel, bias, spec=spec)]
            self._read, self._written = bytes_read(spec), spec.output_bytes
        if is_training:
            # backwards, x and the kernel are read once more, dy is read twice; dx and dkernel are written
            expected += [[part] for part in expect_gradients(x, kernel, arrays.random_output_gradient(spec), spec=spec)]
            self._read += spec.input_bytes + spec.kernel_bytes + 2 * spec.output_bytes
            self._written += spec.input_bytes + spec.kernel_bytes
            flops *= 3
        Path(expected_file).write_bytes(pickle.dumps(expected))
        self._flops, self._peak, self._stream = flops, Peak(spec.dtype), Stream(self._read, self._written)
        self._source, self._target = memory(self._stream.read_bytes), memory(self._stream.written_bytes)
        self._stream.choose(self._source, self._target, CHOICE_SECONDS)
        return flops, self._read + self._written

    def burst(self, seconds: float) -> tuple[float, float, float]:
        """Return the seconds that arithmetic and memory traffic take at least, and our share of the processor."""
        peak = self._flops / self._peak.gflops(seconds / 2) / 1e9
        stream = self._stream.seconds(self._source, self._target, seconds / 2)
        return peak, stream, self._peak.processor_share

    def finish(self) -> None:
        """Give the memory of the case back."""
        self._source = self._target = memory(0)
