"""By way of channels last: the same numbers as in place, for every kind, and never where results are added."""

from dataclasses import replace

import numpy as np
import pytest

import faltung as ft
from faltung import reference
from faltung.algorithms.choose import choose_kernel, offers
from faltung.algorithms.moved import plan as moved
from faltung.operators.moved import MovedLaunch
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.problem import Problem
from faltung.runtime import processor

CASES = (
    "conv1d n2 w45 ic3 oc33 kw3 sw2 ncw oiw bias",
    "conv1d n1 w9 ic1 oc5 kw3 dw4 ncw gelu",
    "conv1d n3 w40 ic6 oc4 kw5 pw2 reflect ncw oiw relu bias f64",
    "conv2d n2 h7 w7 ic32 oc32 kh5 kw5 sh2 sw2 g32 ph2 pw2 nchw oihw",
    "conv2d n2 h9 w8 ic12 oc6 kh3 kw3 sh3 sw2 dh2 dw1 ph1 pw2 g3 nchw oihw tanh",
    "conv2d n1 h16 w16 ic16 oc16 kh3 kw3 dh8 dw8 ph8 pw8 nchw oihw exact",
    "conv3d n2 d5 h6 w7 ic4 oc3 kd3 kh3 kw3 sd2 sh2 sw2 pd1 ph1 pw1 ncdhw oidhw",
)


def _launch(problem: Problem) -> MovedLaunch:
    target = processor.current()
    assert moved.refuse(problem, target) is None
    return MovedLaunch(moved.plan(problem, target, choose_kernel))


def _numbers(*shape: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("text", CASES)
def test_forward(text: str) -> None:
    spec = ft.ConvSpec.from_text(text)
    x, kernel = (_numbers(*shape, dtype=spec.dtype) for shape in (spec.input_shape, spec.kernel_shape))
    bias = _numbers(spec.out_channels, dtype=spec.dtype) if spec.bias else None
    y = np.full(spec.output_shape, np.nan, spec.dtype)
    _launch(Problem.of(spec))(x, kernel, bias, y)
    error = np.abs(y - reference.conv(x, kernel, bias, spec=spec))
    assert (error <= 8 * reference.bound(x, kernel, bias, spec=spec)).all()


@pytest.mark.parametrize("text", [text for text in CASES if "reflect" not in text])
def test_every_component_of_an_input_gradient(text: str) -> None:
    spec = ft.ConvSpec.from_text(text).replace(bias=False, activation=None)
    dy, kernel = (_numbers(*shape, dtype=spec.dtype) for shape in (spec.output_shape, spec.kernel_shape))
    dx = np.zeros(spec.input_shape, spec.dtype)
    for problem in adjoint_problems(Problem.of(spec))[0]:
        _launch(problem)(dy, kernel, None, dx)
    error = np.abs(dx - reference.input_gradient(dy, kernel, spec=spec))
    assert (error <= 8 * reference.input_gradient_bound(dy, kernel, spec=spec)).all()


def test_bits_do_not_depend_on_threads() -> None:
    spec = ft.ConvSpec.from_text("conv2d n8 h15 w15 ic64 oc64 kh5 kw5 sh2 sw2 g64 ph2 pw2 nchw oihw")
    x, kernel = (_numbers(*shape, dtype=spec.dtype) for shape in (spec.input_shape, spec.kernel_shape))
    launch, results = _launch(Problem.of(spec)), []
    before = ft.get_num_threads()
    try:
        for threads in (1, 2, 5):
            ft.set_num_threads(threads)
            results.append(np.zeros(spec.output_shape, "f4"))
            launch(x, kernel, None, results[-1])
    finally:
        ft.set_num_threads(before)
    assert all((result == results[0]).all() for result in results)


def test_it_is_chosen_where_channels_first_would_stage_more_than_it_sums() -> None:
    spec = ft.ConvSpec.from_text("conv2d n16 h7 w7 ic512 oc512 kh5 kw5 sh2 sw2 g512 ph2 pw2 nchw oihw")
    assert ft.compile(spec).algorithm == "moved"
    assert ft.compile(spec.replace(layout="NHWC")).algorithm == "grouped"


def test_it_is_not_offered_channels_last_nor_where_results_are_added() -> None:
    target = processor.current()
    first = Problem.of(ft.ConvSpec.from_text("conv1d n2 w45 ic3 oc33 kw3 sw2 ncw oiw"))
    last = Problem.of(ft.ConvSpec.from_text("conv1d n2 w45 ic3 oc33 kw3 sw2"))
    names = [[plan.algorithm for plan in offers(p, target)] for p in (first, last, replace(first, adds_result=True))]
    assert [("moved" in some) for some in names] == [True, False, False]
