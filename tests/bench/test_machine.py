"""The measured limits: plausible, and from loops that touch exactly the memory they say."""

import numpy as np
import pytest

import faltung as ft
from faltung.bench import machine
from faltung.bench.machine import Peak, Stream, memory
from faltung.runtime import processor


def test_the_machine_is_measured() -> None:
    host = machine.measure()
    assert host.processor and host.target == processor.current().cpu
    assert host.vector_bits == 8 * processor.current().vector_bytes
    assert host.threads == ft.get_num_threads()
    assert 0.4 < host.peak_gflops_f32 / (2 * host.peak_gflops_f64) < 2.5  # others may slow down one of them
    assert 0 < host.processor_share <= 1
    assert all(0.1 < rate < 5000 for rate in (host.read_gbps, host.write_gbps, host.copy_gbps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_peak_lies_within_what_processors_do(dtype: str) -> None:
    flops_each_cycle = 4 * processor.current().lanes(dtype)  # two pipelines, a multiplication and an addition
    peak = Peak(dtype)
    assert 0.05 < peak.gflops(0.01) / (flops_each_cycle * ft.get_num_threads()) < 8  # GHz
    assert 0 < peak.processor_share <= 1


SIZES = [(1, 0), (0, 1), (600, 10), (5000, 300), (100_000, 100_000), (1_000_000, 4096), (8, 1_000_000)]


@pytest.mark.parametrize(("read", "written"), SIZES)
def test_a_stream_moves_at_least_what_it_says_and_little_more(read: int, written: int) -> None:
    stream = Stream(read, written)
    for asked, moved in ((read, stream.read_bytes), (written, stream.written_bytes)):
        assert asked <= moved <= 1.25 * asked + 1024 * ft.get_num_threads()
        assert (asked == 0) == (moved == 0)


@pytest.mark.parametrize(("read", "written"), SIZES)
def test_a_stream_writes_its_memory_and_nothing_else(read: int, written: int) -> None:
    stream = Stream(read, written)
    x = memory(stream.read_bytes)
    for way in stream._ways:
        stream._way = way
        y = memory(stream.written_bytes + 4096)
        assert stream.seconds(x, y, 0) > 0
        assert (y[: stream.written_bytes].view(np.float32) == 1.0).all()
        assert (y[stream.written_bytes :] == 1).all()


def test_memory_is_aligned() -> None:
    assert all(memory(size).ctypes.data % 4096 == 0 and memory(size).size == size for size in (1, 4097))


def test_choosing_keeps_the_quickest_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(8192, 8192)
    quickest = stream._ways[-1]
    monkeypatch.setattr(stream, "seconds", lambda x, y, seconds: 1.0 if stream._way is quickest else 2.0)
    stream.choose(memory(1), memory(1))
    assert stream._way is quickest
