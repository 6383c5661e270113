"""Convolutions, transposed convolutions and dense layers as steps."""

from dataclasses import replace
from math import prod

import numpy as np

from faltung.algorithms.algorithm import Algorithm
from faltung.algorithms.choose import KERNELS, offers
from faltung.graph.graph import Array, Constant, Node
from faltung.graph.lowering import Lowering, Operand, rule
from faltung.graph.packing import packed_by
from faltung.graph.shapes import spatial_axes
from faltung.graph.stored import Shape, Stored, channels_last
from faltung.graph.weights import Weight, aligned
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem, Strides
from faltung.spec import ConvSpec

LAYOUTS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
ONE_ORDER = ("direct_nhwc", "grouped")
"""Algorithms that sum taps and channels in the same order, so that they give the same bits; the first covers all."""


def _learned(lowering: Lowering, name: str, axes: tuple[int, ...]) -> Weight:
    """A constant kernel with its axes in the order of (taps, I, O)."""
    constant = _known(lowering, name)
    return lowering.weights.get(
        (id(constant), axes), lambda: aligned(np.asarray(constant.read(), constant.dtype).transpose(axes))
    )


def _known(lowering: Lowering, name: str) -> Constant:
    constant = lowering.constant(name)
    assert constant is not None  # a kernel that is computed makes its node an island
    return constant


def _kernel_axes(layout: str) -> tuple[int, ...]:
    """The axes of a kernel layout in the order (taps, I, O)."""
    taps = (n for n, letter in enumerate(layout) if letter not in "IO")
    return (*taps, layout.index("I"), layout.index("O"))


def _bias(lowering: Lowering, node: Node) -> Operand | None:
    if not node["has_bias"]:
        return None
    constant = _known(lowering, node.inputs[2])
    return Operand(lowering.weights.of(constant, constant.dtype))


def strides_of(stored: Stored, layout: str) -> Strides:
    """The strides of a value as planners see them."""
    n, c = layout.index("N"), layout.index("C")
    return Strides(stored.strides[n], stored.strides[c], tuple(stored.strides[a] for a in spatial_axes(layout)))


@rule("conv")
def conv(lowering: Lowering, node: Node) -> None:
    """One step; what it adds lies in its result already."""
    layout, shape = node["layout"], lowering.graph.shape(node.output)
    x = lowering.channels_last(node.inputs[0], layout, node)
    constant = _known(lowering, node.inputs[1])
    axes = _kernel_axes(node["kernel_layout"])
    spec = ConvSpec(
        in_size=tuple(x.shape[axis] for axis in spatial_axes(layout)),
        in_channels=x.shape[layout.index("C")],
        out_channels=shape[layout.index("C")],
        kernel_size=tuple(constant.shape[axis] for axis in axes[:-2]),
        batch=x.shape[layout.index("N")],
        stride=node["stride"],
        padding=node["padding"],
        dilation=node["dilation"],
        groups=node["groups"],
        layout=LAYOUTS[len(axes) - 2],
        padding_mode=node["padding_mode"],
        bias=node["has_bias"],
        activation=node["activation"],
        precision=lowering.precision,
        dtype=x.dtype,
    )
    y = (
        _result(lowering, node, layout)
        if node["adds"]
        else lowering.result(node.output, channels_last(layout), inner=layout.index("C"))
    )
    problem = replace(Problem.of(spec), y=strides_of(y, layout), adds_result=node["adds"])
    run_convolution(lowering, node, problem, x, _learned(lowering, node.inputs[1], axes), _bias(lowering, node), y)
    lowering.deliver(node.output, y)


def _result(lowering: Lowering, node: Node, layout: str) -> Stored:
    """The residual itself where nobody else reads it, or a copy of it."""
    residual, order = lowering.read(node.inputs[-1]), channels_last(layout)
    is_free = node.output not in lowering.destinations and lowering.is_last_reader(residual)
    if is_free and residual.is_contiguous(order) and residual.place is not lowering.read(node.inputs[0]).place:
        return residual
    y = lowering.result(node.output, order, inner=layout.index("C"))
    lowering.copy(residual, y, node)
    return y


def run_convolution(
    lowering: Lowering, node: Node, problem: Problem, x: Stored, kernel: Weight, bias: Operand | None, y: Stored
) -> None:
    """The step of a problem, by the algorithm that is cheapest for a single sample: batches give the same bits."""
    if y.size == 0:
        return
    plan = chosen(lowering, replace(problem, is_kernel_constant=True))
    packed = None
    if plan.tasks[0]:
        key = (kernel, plan.kernel, plan.tasks[0], plan.parameters.w_offset)
        packed = lowering.weights.get(key, lambda: packed_by(plan, kernel.address))
    # where numbers differ too much, packed kernels are read as they were, too
    lowering.step(plan, node, y, {"x": x, "kernel": Operand(kernel), "bias": bias}, packed)


def chosen(lowering: Lowering, problem: Problem) -> Plan:
    """The plan of the algorithm that is cheapest for one sample, its kernel come from afar."""
    plans = _plans(lowering, replace(problem, num_samples=1), KERNELS)
    first = min(plans, key=lambda plan: plan.cycles + _waiting_cycles(lowering, plan))
    if problem.num_samples == 1:
        return first
    (plan,) = _plans(lowering, problem, tuple(one for one in KERNELS if one.name == first.algorithm))
    return plan


def _waiting_cycles(lowering: Lowering, plan: Plan) -> float:
    """What it takes to fetch a kernel that L2 does not hold, as it is packed: Winograd's is larger than others'."""
    target = lowering.target
    far = plan.shared_bytes if plan.shared_bytes > target.l2_bytes // 2 else 0
    return far / target.costs.cache.far_kernel_bytes_per_cycle


def _plans(lowering: Lowering, problem: Problem, algorithms: tuple[Algorithm, ...]) -> list[Plan]:
    """All plans, the cheapest first; exact ones only of ONE_ORDER, so that bits do not depend on lengths either."""
    plans = [plan for plan in offers(problem, lowering.target, algorithms) if isinstance(plan, Plan)]
    return [plan for plan in plans if lowering.precision != "exact" or plan.algorithm in ONE_ORDER]


@rule("dense")
def dense(lowering: Lowering, node: Node) -> None:
    """A convolution of one tap over all positions; the rows of its kernel follow the order of what was flattened."""
    shape = lowering.graph.shape(node.output)
    x = lowering.read(node.inputs[0])
    constant = _known(lowering, node.inputs[1])
    is_turned = node["kernel_layout"] == "OI"
    order: Shape = tuple(range(len(x.shape)))
    rows: Shape = ()
    flattened = lowering.flattened.get(node.inputs[0])
    if flattened is not None:
        x, rows = flattened
    else:
        x = lowering.moved(x, order, node)

    def make() -> Array:
        kernel = np.asarray(constant.read(), constant.dtype)
        kernel = kernel.T if is_turned else kernel
        if rows:
            sizes = x.shape[1:]
            kernel = kernel.reshape(*sizes, -1).transpose(*(axis - 1 for axis in rows[1:]), len(sizes))
        return aligned(kernel.reshape(-1, kernel.shape[-1]))

    kernel = lowering.weights.get((id(constant), "dense", x.shape[1:] if rows else (), rows), make)
    positions, inputs = prod(shape[:-1]), constant.shape[1 if is_turned else 0]
    spec = ConvSpec(
        in_size=1,
        in_channels=inputs,
        out_channels=shape[-1],
        kernel_size=1,
        batch=positions,
        layout="NWC",
        bias=node["has_bias"],
        activation=node["activation"],
        precision=lowering.precision,
        dtype=x.dtype,
    )
    y = lowering.result(node.output, tuple(range(len(shape))))
    run_convolution(lowering, node, Problem.of(spec), x, kernel, _bias(lowering, node), y)
    lowering.deliver(node.output, y)


@rule("conv_transpose")
def conv_transpose(lowering: Lowering, node: Node) -> None:
    """The input gradient of a convolution that reads the result: one step for each polyphase component."""
    layout, shape = node["layout"], lowering.graph.shape(node.output)
    x = lowering.channels_last(node.inputs[0], layout, node)
    constant = _known(lowering, node.inputs[1])
    taps, i, o = (lambda axes: (axes[:-2], axes[-2], axes[-1]))(_kernel_axes(node["kernel_layout"]))
    # the forward convolution reads the result: what is O here are its inputs
    axes = (*taps, o, i)
    spec = ConvSpec(
        in_size=tuple(shape[axis] for axis in spatial_axes(layout)),
        in_channels=shape[layout.index("C")],
        out_channels=x.shape[layout.index("C")],
        kernel_size=tuple(constant.shape[axis] for axis in taps),
        batch=x.shape[layout.index("N")],
        stride=node["stride"],
        padding=node["padding"],
        dilation=node["dilation"],
        groups=node["groups"],
        layout=LAYOUTS[len(taps)],
        bias=node["has_bias"],
        activation=node["activation"],
        precision=lowering.precision,
        dtype=x.dtype,
    )
    kernel, bias = _learned(lowering, node.inputs[1], axes), _bias(lowering, node)
    y = lowering.result(node.output, channels_last(layout), inner=layout.index("C"))
    forward = replace(
        Problem.of(spec), x=strides_of(y, layout), out_size=tuple(x.shape[axis] for axis in spatial_axes(layout))
    )
    forward = replace(forward, y=Strides.of_contiguous(True, spec.out_channels, forward.out_size))
    problems, leaves_some = adjoint_problems(forward)
    if leaves_some:
        operands = [] if bias is None else [lowering.read(node.inputs[2])]
        broadcast = [
            Stored(o.place, (1,) * len(shape[:-1]) + o.shape, (0,) * len(shape[:-1]) + o.strides, o.dtype)
            for o in operands
        ]
        turned = tuple(channels_last(layout).index(axis) for axis in range(len(shape)))
        alone: object = 0 if operands else 0.0
        lowering.map(_activated(alone, node["activation"]), [b.transposed(turned) for b in broadcast], y, node)
    for problem in problems:
        run_convolution(lowering, node, problem, x, kernel, bias, y)
    lowering.deliver(node.output, y)


def _activated(expression: object, activation: tuple[str, float | None] | None) -> object:
    """The expression with an activation around it."""
    if activation is None:
        return expression
    name, parameter = activation
    return (name, expression) if parameter is None else (name, expression, parameter)
