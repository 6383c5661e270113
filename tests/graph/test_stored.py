"""Where values lie: views without moving, and an arena whose buffers overlap only in time."""

import numpy as np
import pytest

from faltung.graph.stored import Arena, Buffer, Outside, Stored, channels_last


def test_an_order_of_axes_is_seen_in_the_strides() -> None:
    x = Stored.contiguous(Outside("x"), (2, 3, 5), "float32", channels_last("NCW"))
    assert x.strides == (15, 1, 3)
    assert x.is_contiguous((0, 2, 1)) and not x.is_contiguous()
    assert x.transposed((0, 2, 1)).is_contiguous()


def test_slices_and_reshapes_look_at_the_same_numbers() -> None:
    array = np.arange(60).reshape(3, 4, 5)
    x = Stored.contiguous(Outside("x"), array.shape, "float32")
    part = x.sliced([range(3), range(1, 4, 2), range(4, -1, -2)])
    assert part.offset == array[0, 1, 4]
    assert part.strides == (20, 10, -2)
    found = x.reshaped((12, 5))
    assert found is not None and found.strides == (5, 1)
    assert x.transposed((0, 2, 1)).reshaped((3, 20)) is None


@pytest.mark.parametrize("seed", range(20))
def test_no_two_buffers_that_live_at_once_share_bytes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    buffers = []
    for _ in range(12):
        first = int(rng.integers(20))
        buffers.append(Buffer(int(rng.integers(1, 1000)), first, first + int(rng.integers(6))))
    arena = Arena(list(buffers))
    arena.lay_out(64)
    for n, a in enumerate(buffers):
        assert a.offset % 64 == 0
        for b in buffers[:n]:
            is_apart_in_time = a.last < b.first or b.last < a.first
            assert is_apart_in_time or a.offset + a.num_bytes <= b.offset or b.offset + b.num_bytes <= a.offset
    assert arena.live_bytes <= arena.num_bytes <= sum(b.num_bytes + 64 for b in buffers)
