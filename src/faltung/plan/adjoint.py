"""The input gradient as convolutions: one problem for each polyphase component, no multiplication by inserted zeros.

Along one axis, y[o] = sum over k of x[o s + k d - low] w[k], so

    dx[i] = sum of dy[o] w[k] over all o, k with o s + k d - low = i.

Take the inputs i with i + low = s m + r for one r < s. Only taps with k d = r (mod s) reach them: with g = gcd(d,
s), these are k = k0 + j s/g, j = 0 … J - 1 (none unless g divides r), and they read o = m - (k0 d - r)/s - j d/g.
Counting j backwards this is a convolution of dy with stride 1, dilation d/g and padding low' = (k0 d - r)/s + (J -
1) d/g - m0, whose t-th output is dx[s (m0 + t) + r - low]; m0 is the first m inside the input. In- and output
channels change places.

A sequence with a single channel, such as the signal that an inverse spectrogram builds, gives each component one
output channel, which suits no kernel. There the components are the output channels of one problem: they lie side by
side in dx.
"""

from dataclasses import dataclass, replace
from itertools import product
from math import ceil, gcd, prod

from faltung.plan.problem import KernelView, Problem


@dataclass(frozen=True)
class _Component:
    """What one component of one axis reads and writes."""

    first: int  # the first input it writes
    size: int  # how many it writes, every `stride` inputs
    low: int
    taps: int
    dilation: int
    tap_offset: int  # the tap it begins with, which is the last one
    tap_step: int


def adjoint_problems(forward: Problem) -> tuple[list[Problem], bool]:
    """The problems whose results together are the input gradient, and whether they leave inputs that no window met.

    The forward problem must pad with zeros, if at all; its x is their y. Its epilogue becomes theirs: none for a
    gradient, bias and activation for a transposed convolution.
    """
    if _has_alike_components(forward):
        return [_all_components(forward)], False
    axes = [_components(forward, axis) for axis in range(forward.rank)]
    problems = [
        _problem(forward, components)
        for components in product(*axes)
        if all(component.size > 0 for component in components)
    ]
    written = prod(sum(max(component.size, 0) for component in components) for components in axes)
    return problems, written < prod(forward.in_size)


def _has_alike_components(forward: Problem) -> bool:
    """Do components of a single channel differ in nothing but where they begin?"""
    if (forward.rank, forward.in_channels, forward.dilation, forward.has_bias) != (1, 1, (1,), False):
        return False
    numbers = forward.kernel_size[0], forward.low[0], forward.in_size[0]
    is_contiguous = (forward.x.c, forward.x.spatial) == (1 if forward.is_channels_last else forward.in_size[0], (1,))
    return forward.stride[0] > 1 and not any(number % forward.stride[0] for number in numbers) and is_contiguous


def _all_components(forward: Problem) -> Problem:
    """The components of a single channel as output channels; s is their number."""
    s, (step,) = forward.stride[0], forward.w.taps
    problem = _problem(forward, (_components(forward, 0)[0],))
    return replace(problem, out_channels=s, y=replace(problem.y, c=1), w=replace(problem.w, group=0, outer=step))


def _components(forward: Problem, axis: int) -> list[_Component]:
    s, d, k, low = forward.stride[axis], forward.dilation[axis], forward.kernel_size[axis], forward.low[axis]
    common = gcd(d, s)
    components = []
    for r in range(0, s, common):
        k0 = next((tap for tap in range(k) if tap * d % s == r), None)
        if k0 is None:
            continue
        step, dilation = s // common, d // common
        taps = (k - 1 - k0) // step + 1
        m0 = ceil((low - r) / s)
        first = s * m0 + r - low
        size = ceil((forward.in_size[axis] - first) / s)
        new_low = (k0 * d - r) // s + (taps - 1) * dilation - m0
        components.append(_Component(first, size, new_low, taps, dilation, k0 + (taps - 1) * step, -step))
    return components


def _problem(forward: Problem, components: tuple[_Component, ...]) -> Problem:
    view, y = forward.w, forward.x
    low, sizes = tuple(p.low for p in components), tuple(p.size for p in components)
    reach = [p.size - 1 + (p.taps - 1) * p.dilation - p.low for p in components]
    stays_inside = max(low) <= 0 and all(last < size for last, size in zip(reach, forward.out_size, strict=True))
    return replace(
        forward,
        text=f"input gradient of {forward.text}",
        in_size=forward.out_size,
        out_size=sizes,
        in_channels=forward.out_channels,
        out_channels=forward.in_channels,
        kernel_size=tuple(p.taps for p in components),
        stride=(1,) * forward.rank,
        dilation=tuple(p.dilation for p in components),
        low=low,
        padding_mode=None if stays_inside else "zeros",
        x=forward.y,
        y=replace(y, spatial=tuple(step * s for step, s in zip(y.spatial, forward.stride, strict=True))),
        w=KernelView(
            offset=view.offset + sum(p.tap_offset * step for p, step in zip(components, view.taps, strict=True)),
            group=view.group,
            taps=tuple(p.tap_step * step for p, step in zip(components, view.taps, strict=True)),
            inner=view.outer,
            outer=view.inner,
        ),
        y_offset=sum(p.first * step for p, step in zip(components, y.spatial, strict=True)),
    )
