"""Plans: the same for every number of threads, few kernels for many lengths, pieces that cover each output once."""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checking import assert_is_right, repro, resized
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung.codegen.call import WORDS
from faltung.errors import UnsupportedConvError
from faltung.plan import choose, pieces, runs
from faltung.plan.choose import Strides, choose_plan
from faltung.plan.plan import Plan
from faltung.plan.target import Target
from faltung.plan.tiles import candidates
from faltung.runtime import target as host
from faltung.runtime.launch import Launch

TARGETS = {
    "AVX-512": Target("", "", 64, 32, True, 48 * 1024, 1024 * 1024),
    "AVX2": Target("", "", 32, 16, True, 32 * 1024, 512 * 1024),
    "SSE2": Target("", "", 16, 16, False, 32 * 1024, 512 * 1024),
    "NEON": Target("", "", 16, 32, True, 64 * 1024, 1024 * 1024),
}


def plan_of(spec: ft.ConvSpec, target: Target = TARGETS["AVX-512"]) -> Plan:
    return choose_plan(spec, target, Strides.of_contiguous(spec, spec.in_channels, spec.in_size))


@settings(max_examples=60, deadline=None)
@given(conv_specs(), st.sampled_from(sorted(TARGETS)))
def test_plans_do_not_depend_on_the_number_of_threads(spec: ft.ConvSpec, target: str) -> None:
    if 0 in spec.output_shape:
        return
    before = ft.get_num_threads()
    try:
        plans = []
        for num_threads in (1, 2, 7, 64):
            ft.set_num_threads(num_threads)
            plans.append(plan_of(spec.replace(batch=64), TARGETS[target]))
        assert plans.count(plans[0]) == len(plans), repro(spec, 0)
    finally:
        ft.set_num_threads(before)


# --- few kernels for many lengths

LAYERS = [
    "conv1d n1 w{} ic64 oc64 kw7 same f32",
    "conv1d n1 w{} ic64 oc64 kw7 same ncw f32",
    "conv1d n32 w{} ic3 oc16 kw3 same f32",
    "conv1d n32 w{} ic3 oc16 kw3 same ncw f32",
    "conv1d n1 w{} ic1 oc1 kw101 same f64",
    "conv1d n4 w{} ic128 oc512 kw5 same sw2 f32",
    "conv1d n4 w{} ic128 oc512 kw5 same sw2 ncw f32",
    "conv1d n8 w{} ic48 oc48 kw4 g48 same f32",
    "conv1d n8 w{} ic48 oc48 kw4 g48 same ncw f32",
]
LENGTHS = [*range(1, 513), *range(513, 4097, 7)]
MOST_KERNELS = 16
"""Measured: for the first layer 15 on NEON and 11 on AVX-512, for the others 2 to 9. So sentences or recordings of all
lengths compile for about half a second altogether, once."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layer", LAYERS)
def test_many_lengths_share_few_kernels(layer: str, target: str) -> None:
    kernels = {plan_of(ft.ConvSpec.from_text(layer.format(length)), TARGETS[target]).kernel for length in LENGTHS}
    assert len(kernels) <= MOST_KERNELS, sorted((kernel.vectors, kernel.rows) for kernel in kernels)


@pytest.mark.parametrize("layer", LAYERS)
def test_batch_sizes_share_few_kernels(layer: str) -> None:
    spec = ft.ConvSpec.from_text(layer.format(100))
    assert len({plan_of(spec.replace(batch=batch)).kernel for batch in range(1, 513)}) <= MOST_KERNELS


@pytest.mark.parametrize("target", TARGETS)
def test_tiles_fit_into_the_registers(target: str) -> None:
    tiles = list(candidates(TARGETS[target], 1000, 1000))
    assert tiles
    for rows, vectors in tiles:
        assert rows >= 1 and vectors >= 1
        assert rows * vectors + vectors + 1 <= TARGETS[target].num_vector_registers, (rows, vectors)


# --- pieces cover each output once


@pytest.fixture(scope="module")
def many_pieces() -> Iterator[None]:
    """Cut small work finely too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_CYCLES", 100.0)
        for module in (pieces, runs):
            patch.setattr(module, "SMALLEST_PARALLEL_CYCLES", 100.0)
        yield


class Pieces:
    """The pieces of a plan, run one by one on arrays."""

    def __init__(self, plan: Plan, x: Any, kernel: Any, bias: Any, y: Any) -> None:
        launch = Launch(plan)
        pack, piece = (launch.program.addresses[name] for name in ("pack", "piece"))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
        values = plan.parameter_values()
        self.parameters = (ctypes.c_int64 * len(values))(*values)
        self.shared, self.scratch = (aligned(size) for size in (plan.shared_bytes, plan.scratch_bytes))
        words = {
            **{"x": x, "kernel": kernel, "bias": bias, "y": y, "workspace": self.shared},
            "parameters": np.ctypeslib.as_array(self.parameters),
        }
        self.call = (ctypes.c_void_p * len(WORDS))(
            *(None if words[name] is None else words[name].ctypes.data for name in WORDS)
        )
        self.piece = function(piece)
        for index in range(plan.pack_pieces):
            function(pack)(ctypes.addressof(self.call), index, self.scratch.ctypes.data)

    def run(self, index: int) -> None:
        self.scratch[...] = 0xFF  # numbers left by another piece are of no use to this one
        self.piece(ctypes.addressof(self.call), index, self.scratch.ctypes.data)


def aligned(num_bytes: int) -> Any:
    memory = np.full(num_bytes + 128, 0xFF, np.uint8)
    return memory[-memory.ctypes.data % 64 :][: num_bytes + 64]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conv_specs(max_macs=50_000), st.integers(0, 2**32 - 1))
def test_pieces_in_any_order_write_each_output_once(many_pieces: None, spec: ft.ConvSpec, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for sized in (spec, resized(spec, rng), resized(spec, rng, max_macs=2_000_000)):
        if 0 in sized.output_shape:
            continue
        plan = plan_of(sized, host.current())
        line = f"{repro(sized, seed)}, {plan.pieces} pieces"
        x, kernel, bias = (None if array is None else array.copy() for array in random_arrays(sized, seed))
        y = np.full(sized.output_shape, np.nan, sized.dtype)
        times_written = np.zeros(sized.output_shape, int)
        parts, whole = Pieces(plan, x, kernel, bias, y), y.copy()
        for index in rng.permutation(plan.pieces):
            y[...] = np.nan
            parts.run(int(index))
            is_written = ~np.isnan(y)
            assert is_written.any(), f"{line}: piece {index} writes nothing"
            times_written += is_written
            whole[is_written] = y[is_written]
        assert np.all(times_written == 1), f"{line}: not each output once, {np.unique(times_written)} times"
        assert_is_right(whole, sized, x, kernel, bias, line)


@pytest.mark.usefixtures("many_pieces")
def test_the_pieces_above_are_many() -> None:
    for text in (
        "conv1d n3 w90 ic3 oc40 kw5",
        "conv1d n3 w90 ic3 oc40 kw5 ncw",
        "conv2d n2 h9 w9 ic8 oc8 kh3 kw3 nchw",
    ):
        assert plan_of(ft.ConvSpec.from_text(text)).pieces >= 3, text


# --- reasons


def test_explain_names_what_was_chosen_and_what_was_refused() -> None:
    text = ft.compile(ft.ConvSpec.from_text("conv1d n2 w100 ic3 oc8 kw5 same relu f32")).explain()
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "conv1d n2 w100 ic3 oc8 kw5 pw2 relu f32"
    assert lines[1] == "w: floor((100 + 2 + 2 - 1*(5 - 1) - 1) / 1) + 1 = 100"
    assert lines[2] == "24,000 multiply-adds, 9,280 bytes"
    passed_over = "taps: passed over, neighbours along w must lie side by side"
    assert passed_over in lines
    assert "runs: chosen" in lines
    assert lines.index(passed_over) < lines.index("runs: chosen")
    assert any(line.startswith("tile of ") and line.endswith(" cycles by the model") for line in lines)


def test_explain_one_input_channel() -> None:
    text = ft.compile(ft.ConvSpec.from_text("conv1d n2 w100 ic1 oc8 kw5 f32")).explain()
    assert (
        "taps: passed over, the output's channels lie side by side, vectors along w would have to scatter them" in text
    )


def test_explain_channels_first() -> None:
    text = ft.compile(ft.ConvSpec.from_text("conv1d n2 w100 ic3 oc8 kw5 same ncw f32")).explain()
    assert "taps: chosen" in text and "passed over" not in text


def test_explain_an_empty_result() -> None:
    conv = ft.compile(ft.ConvSpec.from_text("conv1d n0 w100 ic3 oc8 kw5"))
    assert conv.explain().endswith("empty: the result has no elements")
    assert (conv.algorithm, conv.assembly(), conv.workspace_bytes, conv.compile_seconds) == ("empty", "", 0, 0.0)


def test_a_spec_that_nothing_covers_lists_every_refusal() -> None:
    spec = ft.ConvSpec.from_text("conv1d n2 w100 ic3 oc8 kw5")
    scattered = Strides(n=600, c=2, spatial=(6,))
    assert not choose.is_readable(spec, scattered)
    with pytest.raises(UnsupportedConvError) as caught:
        choose_plan(spec, TARGETS["AVX2"], scattered)
    assert str(caught.value) == (
        "conv1d: no algorithm covers conv1d n2 w100 ic3 oc8 kw5 f32: "
        "taps: passed over, neighbours along w must lie side by side; "
        "runs: passed over, one line of the input must be contiguous."
    )


@settings(max_examples=40, deadline=None)
@given(conv_specs(max_macs=50_000))
def test_the_workspace_is_what_it_says(spec: ft.ConvSpec) -> None:
    conv = ft.compile(spec)
    assert conv.flops == 2 * spec.macs and conv.bytes_moved == spec.bytes_moved
    if conv.plan is not None:
        expected = conv.plan.shared_bytes + ft.get_num_threads() * conv.plan.scratch_bytes
        assert conv.workspace_bytes == expected
        assert conv.plan.shared_bytes % 64 == conv.plan.scratch_bytes % 64 == 0
