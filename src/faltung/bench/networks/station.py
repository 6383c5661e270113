"""What a worker does for a peer: prepare a network, check it, and time it when it is asked to."""

import gc
import importlib
import time

import numpy as np

from faltung.bench.check import Wrong
from faltung.bench.networks.network import Network
from faltung.bench.networks.peers.peer import Array, Call, Peer, Work, arrays_of
from faltung.bench.networks.referee import Known, read_expected
from faltung.bench.station import Burst, Start, burst, peak_bytes, reset_peak, resident_bytes, timed, versions_of

TOLERANCE = 1e-4
"""How far off a result may be, of the largest number of the output. In float32 the hosts themselves are off by up to
5e-6 (MobileNetV2), and fast algorithms (Winograd) by up to eight times as much as direct summation."""
ROUNDING = 2 * float(np.finfo(np.float32).eps)
"""How far off any number may be whatever the largest: ONNX Runtime computes a sigmoid as (1 + tanh)/2, rounded at 1."""


class Station:
    """One peer and the network it is at."""

    def __init__(self, place: str, threads: int) -> None:
        module, _, name = place.partition(":")
        self.peer: Peer = getattr(importlib.import_module(module), name)(threads)
        self._call: Call | None = None

    def describe(self) -> tuple[str, str, dict[str, str]]:
        """Return what the peer is, the hosts of its networks, and the versions of its packages."""
        description = (type(self.peer).__doc__ or "").split("\n")[0]
        return description, ", ".join(self.peer.hosts), versions_of(self.peer.packages)

    def prepare(self, network: Network, batch: int, known: Known) -> Start:
        """Prepare a network, call it for the first time, and compare all its results with what was expected."""
        self.finish()
        expected = read_expected(known.expected_file)
        work = Work(network, network.inputs(batch), known.onnx_file, known.refusal)
        start = time.perf_counter()
        call = self.peer.prepare(work)
        prepare_seconds = time.perf_counter() - start
        gc.collect()
        reset_peak()
        before = resident_bytes()
        first_seconds, result = timed(call)
        peak = peak_bytes()
        error = check(arrays_of(result), expected)
        self._call = call
        compared = sum(wanted.size for wanted in expected)
        return Start(prepare_seconds, first_seconds, max(peak - before, 0), peak, error, compared)

    def burst(self, seconds: float) -> Burst:
        """Time calls for about so many seconds."""
        assert self._call is not None
        return burst(self._call, seconds)

    def finish(self) -> None:
        """Forget the network and give its memory back."""
        self._call = None
        gc.collect()


def check(found: list[Array], expected: list[Array]) -> float:
    """Return the largest error of all outputs, each in parts of its own largest number.

    Raises:
        Wrong: if an output is missing, has another shape, is not float32, or is further off than TOLERANCE says.
    """
    if len(found) != len(expected):
        raise Wrong(f"{len(found)} outputs instead of {len(expected)}")
    worst = 0.0
    for number, (y, wanted) in enumerate(zip(found, expected, strict=True)):
        if y.shape != wanted.shape or y.dtype != np.float32:
            raise Wrong(f"output {number} is {y.dtype} {y.shape} instead of float32 {wanted.shape}")
        with np.errstate(invalid="ignore"):
            largest = float(np.abs(wanted).max(initial=0.0)) or 1.0
            error = float(np.abs(y - wanted).max(initial=0.0)) / largest
        if not error <= TOLERANCE + ROUNDING / largest:
            raise Wrong(f"output {number} is off by {error:.2g} of its largest number, more than {TOLERANCE:g}")
        worst = max(worst, error)
    return worst
