"""Epilogues with an exponential: right in every layout and size, and never applied to what is in memory already."""

import re

import numpy as np
import pytest

import faltung as ft
from faltung import reference
from faltung.algorithms.algorithm import emit_program
from faltung.bench.suite import in_layout
from faltung.codegen.emitter import Emitter
from faltung.machine.known import TARGETS
from faltung.runtime import processor
from faltung.spec.activation import ACTIVATIONS, CHEAP

HEAVY = [name for name in ACTIVATIONS if name not in CHEAP]
SIZES = (
    "conv1d n2 w45 ic3 oc33 kw3",  # panels that end inside a vector
    "conv1d n3 w7 ic1 oc5 kw2 sw2 bias",  # less than a tile
    "conv1d n2 w70 ic16 oc24 kw5 same bias",  # winograd
    "conv2d n1 h9 w11 ic2 oc16 kh3 kw3 same",  # tiles across lines, and padding
    "conv2d n2 h8 w9 ic32 oc32 kh3 kw3 g32 same",  # depthwise
)


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("text", SIZES)
@pytest.mark.parametrize("activation", HEAVY)
def test_right_in_both_layouts(text: str, activation: str, layout: str) -> None:
    spec = _spec(f"{text} {activation}", layout)
    x, kernel, bias = _arrays(spec)
    y = ft.compile(spec)(x, kernel, bias)
    error = np.abs(y - reference.conv(x, kernel, bias, spec=spec))
    assert (error <= 8 * reference.bound(x, kernel, bias, spec=spec)).all()


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_beyond_the_last_cache(activation: str, layout: str) -> None:
    spec = _spec(f"conv1d n1 w150001 ic1 oc64 kw2 {activation}", layout)
    spec = spec.replace(in_size=(-(-processor.current().l3_bytes // 256) + 2,))
    x, kernel, _ = _arrays(spec)
    y = ft.compile(spec)(x, kernel)
    some = spec.replace(in_size=(301,))
    axis = 1 if spec.is_channels_last else 2
    for start in (0, 7777, spec.in_size[0] - 301):
        part, found = (array.take(range(start, start + n), axis) for array, n in ((x, 301), (y, 300)))
        assert (
            np.abs(found - reference.conv(part, kernel, spec=some)) <= reference.bound(part, kernel, spec=some)
        ).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", SIZES)
def test_an_activation_sees_the_stack_only(text: str, target: str) -> None:
    """Results in memory may lie beyond every cache."""
    plan = ft.compile(_spec(f"{text} gelu", "last")).plan
    emitter = Emitter(TARGETS[target], "float32")
    emit_program(emitter, plan.kernel)
    calls = re.findall(r'call void @"activate"\((?:ptr|i8\*) (%"[^"]*")', str(emitter.module))
    assert calls
    assert all(place.startswith('%"waiting') for place in calls)


def _spec(text: str, layout: str) -> ft.ConvSpec:
    return in_layout(ft.ConvSpec.from_text(text), "nwc" if layout == "last" else "ncw")


def _arrays(spec: ft.ConvSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(1)
    x, kernel = (rng.standard_normal(shape, "f4") for shape in (spec.input_shape, spec.kernel_shape))
    return x, kernel, rng.standard_normal(spec.out_channels, "f4") if spec.bias else None
