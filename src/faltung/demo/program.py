"""What the three programs share: timing a warm call, the record they return, the look of their pictures."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from faltung.spec import ConvOptions, ConvSpec, spec_from_call

# Okabe and Ito's colours, told apart by every kind of colour vision (jfly.uni-koeln.de/color, 2008).
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY = "#222222", "#9A9A9A"

LOOK: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
}


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One convolution: what was asked and how long a warm call took."""

    spec: ConvSpec
    seconds: float

    @property
    def gflops(self) -> float:
        """Billions of additions and multiplications a second."""
        return self.spec.flops / self.seconds / 1e9


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a program computed, with which call, and where its picture is."""

    sentence: str
    call: TimedCall
    picture: Path


def timed(
    convolve: Callable[..., np.ndarray], x: np.ndarray, kernel: np.ndarray, *, repeats: int = 20, **options: Any
) -> tuple[np.ndarray, TimedCall]:
    """Return `convolve(x, kernel, **options)` and the shortest of `repeats` warm calls.

    x: `(N, *size, C_in)`; kernel: `(*kernel_size, C_in, C_out)`.
    """
    y = convolve(x, kernel, **options)
    seconds = min(_seconds(lambda: convolve(x, kernel, **options)) for _ in range(repeats))
    arrays = (x.shape, x.dtype.name, kernel.shape, kernel.dtype.name)
    spec = spec_from_call(convolve.__name__, *arrays, options=ConvOptions(**options))
    return y, TimedCall(spec, seconds)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def picture(path: Path, title: str, size: tuple[float, float]) -> Iterator[Figure]:
    """Give a figure of `size` inches with a headline; save it at `path` on leaving."""
    with rc_context(LOOK):
        figure = Figure(figsize=size)
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def script(run: Callable[[Path], DemoResult]) -> None:
    """Run one program from the command line; its only argument is the directory of the picture (default: this one)."""
    result = run(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print(result.sentence)
    print(f"{result.call.spec.to_text()}: {result.call.seconds * 1e6:.0f} µs a call, {result.call.gflops:.1f} GFLOP/s")
    print(result.picture)
