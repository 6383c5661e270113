"""Calls whose shapes change from one to the next: `python tests/changing_shapes.py CALLS`; memory and programs stay.

64 shapes take turns, and another one comes in the place of each after some calls; kernels are few, since one program
serves all lengths and batches.
"""

import gc
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import faltung as ft
from faltung.arrays import calls as prepared
from faltung.runtime import buffers, launch

NUM_ACTIVE = 64


def calls(rng: np.random.Generator) -> Iterator[Callable[[], Any]]:
    """Endlessly many."""

    def ones(*shape: int) -> Any:
        return np.ones(shape, "f4")

    while True:
        n, w, h = (int(rng.integers(1, most)) for most in (4, 400, 12))
        k, channels = int(rng.integers(1, 4)), int(rng.choice((1, 3, 8)))
        x, image = ones(n, w + 4, channels), ones(n, h + 4, w % 50 + 4, channels)
        kernel, kernel2 = ones(k, channels, 8), ones(k, k, channels, 8)
        dy = ones(n, w + 5 - k, 8)
        yield lambda x=x, kernel=kernel: ft.conv1d(x, kernel)
        yield lambda image=image, kernel2=kernel2: ft.conv2d(image, kernel2, padding="same", activation="relu")
        yield lambda x=x, dy=dy, kernel=kernel: ft.input_gradient(dy, kernel, x.shape)
        yield lambda x=x, dy=dy, k=k: ft.kernel_gradient(x, dy, k)
        yield lambda x=x, kernel=kernel: ft.conv1d_transpose(x, kernel.transpose(0, 2, 1), stride=2)


def resident_mb() -> float:
    """What of this process is in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def num_mappings() -> int:
    """The mappings of memory that this process has."""
    return Path("/proc/self/maps").read_text().count("\n")


def run(num_calls: int, uses: int, reports: int = 10) -> Iterator[tuple[int, int, float, int, int]]:
    """Yield calls, shapes, MB resident, mappings and programs so far, `reports` times."""
    prepared.MOST_CALLS = (
        256  # tables of prepared calls that are full soon: else they fill with the first 20,000 shapes
    )
    new = calls(np.random.default_rng(0))
    active = list(itertools.islice(new, NUM_ACTIVE))
    num_shapes = NUM_ACTIVE
    for number in range(1, num_calls + 1):
        active[number % NUM_ACTIVE]()
        if number % uses == 0:
            active[number // uses % NUM_ACTIVE] = next(new)
            num_shapes += 1
        if number % (num_calls // reports) == 0:
            gc.collect()
            yield number, num_shapes, resident_mb(), num_mappings(), len(launch._programs)


if __name__ == "__main__":
    start = time.monotonic()
    for number, num_shapes, megabytes, mappings, programs in run(int(sys.argv[1]), uses=100, reports=20):
        print(
            f"{number:,} calls, {num_shapes:,} shapes, {time.monotonic() - start:.0f} s: {megabytes:.1f} MB resident, "
            f"{mappings} mappings, {programs} programs, {buffers.free_bytes() / 1e6:.1f} MB wait",
            flush=True,
        )
