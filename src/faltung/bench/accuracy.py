"""How far every algorithm is from the exact sums, on twelve kinds of data: `python -m faltung.bench.accuracy`.

Errors are in units of the rule, n*eps of the sum of the magnitudes over the output's own window; the rule allows 8.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import click
import numpy as np

from faltung import reference
from faltung.algorithms.choose import FORWARD, KERNEL_GRADIENT, offers
from faltung.bench.kinds import KINDS, Array, data, random_kernels, random_spec
from faltung.bench.markdown import PREFACE
from faltung.operators.executor import executor_of
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.problem import Problem
from faltung.runtime import processor
from faltung.spec import ConvSpec

ALLOWED = 8
FUNCTIONS = ("forward", "input gradient", "kernel gradient")
NUM_KERNELS, SPECS_PER_KERNELS = 24, 240
"""Programs are compiled for so many kernels, and then for others."""
Numbers = dict[tuple[str, str], "Errors"]
"""By algorithm and kind."""


@dataclass
class Errors:
    """What was found of one algorithm and kind."""

    worst: float = 0.0
    squares: float = 0.0
    count: int = 0
    misplaced: int = 0  # numbers that are not finite and should be, or the other way
    negative: int = 0  # sums of what is not negative that are
    beyond: list[str] = field(default_factory=list)

    def add(self, units: Array, misplaced: int, negative: int, what: str) -> None:
        """Count the errors of one result."""
        worst = float(units.max(initial=0.0))
        self.worst = max(self.worst, worst)
        self.squares += float((units**2).sum())
        self.count += units.size
        self.misplaced += misplaced
        self.negative += negative
        if worst > ALLOWED or misplaced or negative:
            self.beyond.append(what)

    def add_all(self, other: "Errors") -> None:
        """Count what another run has found, too."""
        self.worst = max(self.worst, other.worst)
        self.squares += other.squares
        self.count += other.count
        self.misplaced += other.misplaced
        self.negative += other.negative
        self.beyond += other.beyond


@dataclass(frozen=True)
class Sum:
    """One thing to compute: its arrays, the exact sums, the sums of magnitudes, the terms of each."""

    spec: ConvSpec
    function: str
    arrays: tuple[Array, Array]
    bias: Array | None

    def oracle(self, a: Array, b: Array, bias: Array | None) -> Array:
        """Compute in float64."""
        with np.errstate(all="ignore"):
            if self.function == "forward":
                return reference.conv(a, b, bias, spec=self.spec)
            kind = reference.input_gradient if self.function == "input gradient" else reference.kernel_gradient
            return kind(a, b, spec=self.spec)

    @property
    def num_terms(self) -> int:
        """Products of one sum at most."""
        spec = self.spec
        taps = math.prod(spec.kernel_size)
        terms = {"forward": spec.in_channels * taps, "input gradient": spec.out_channels * taps}
        return terms.get(self.function, spec.num_samples * math.prod(spec.out_size)) + (self.bias is not None)

    def exact(self) -> tuple[Array, Array]:
        """Return the exact sums, and what one unit of error is; the smallest number counts where one underflows."""
        limits = np.finfo(self.spec.dtype)
        least = float(limits.tiny) / float(limits.eps)
        a, b = (np.abs(array.astype(np.float64)) + least for array in self.arrays)
        bias = None if self.bias is None else np.abs(self.bias)
        return self.oracle(*self.arrays, self.bias), self.num_terms * float(limits.eps) * self.oracle(a, b, bias)

    def results(self) -> Iterator[tuple[str, Array]]:
        """Compute by every algorithm that could serve; direct summation comes first."""
        spec, target, (a, b) = self.spec, processor.current(), self.arrays
        problem = Problem.of(spec)
        if self.function == "kernel gradient":
            plans = [[plan] for plan in offers(problem, target, KERNEL_GRADIENT)]
            shape = spec.kernel_shape
        elif self.function == "forward":
            plans = [[plan] for plan in offers(problem, target, FORWARD)]
            shape = spec.output_shape
        else:
            parts, _ = adjoint_problems(problem)
            each = [{plan.algorithm: plan for plan in offers(part, target, FORWARD)} for part in parts]
            direct = [next(plan for name, plan in part.items() if not _is_fast(name)) for part in each]
            names = {name for part in each for name in part}
            plans = [[part.get(name, direct[n]) for n, part in enumerate(each)] for name in names]
            shape = spec.input_shape
        for parts_of_plan in sorted(plans, key=lambda plans: any(_is_fast(plan.algorithm) for plan in plans)):
            result = np.zeros(shape, spec.dtype)
            for plan in parts_of_plan:
                executor_of(plan)(a, b, self.bias, result)
            fast = [plan.algorithm for plan in parts_of_plan if _is_fast(plan.algorithm)]
            yield (fast or ["direct"])[0], result


def _is_fast(algorithm: str) -> bool:
    return algorithm.startswith(("winograd", "fft"))


def sums_of(rng: np.random.Generator, spec: ConvSpec, function: str, kind: str) -> Sum:
    """A sum with data of this kind: x, or the gradients that arrive, or one of the two by chance."""
    if function == "forward":
        taps = rng.standard_normal(spec.kernel_shape).astype(spec.dtype)
        bias = rng.standard_normal(spec.out_channels).astype(spec.dtype) if spec.bias else None
        if kind in NOT_NEGATIVE:
            taps, bias = np.abs(taps), None
        spec = spec.replace(bias=bias is not None)
        return Sum(spec, function, (data(rng, kind, spec.input_shape, spec.dtype), taps), bias)
    spec = spec.replace(bias=False)
    if function == "input gradient":
        taps = rng.standard_normal(spec.kernel_shape).astype(spec.dtype)
        return Sum(spec, function, (data(rng, kind, spec.output_shape, spec.dtype), taps), None)
    kinds = (kind, "normal") if rng.random() < 0.5 else ("normal", kind)
    x, dy = (
        data(rng, k, shape, spec.dtype) for k, shape in zip(kinds, (spec.input_shape, spec.output_shape), strict=True)
    )
    return Sum(spec, function, (x, dy), None)


NOT_NEGATIVE = ("not negative", "zeros but one")
"""Kinds that meet a kernel without negative numbers: no result may be negative."""


def measure(seed: int, number: int, found: Numbers, torch: "Callable[[Sum], Array | None] | None" = None) -> None:
    """Compute the random convolution of this number, or a gradient of it, on data of every kind."""
    kernels = random_kernels(np.random.default_rng((seed, number // SPECS_PER_KERNELS)), NUM_KERNELS)
    rng = np.random.default_rng((seed, number, 1))
    spec = random_spec(rng, kernels[number % NUM_KERNELS])
    function = FUNCTIONS[(number + number // NUM_KERNELS) % len(FUNCTIONS)]
    for kind in KINDS:
        compare(sums_of(rng, spec, function, kind), kind, found, torch)


def compare(sum_: Sum, kind: str, found: Numbers, torch: "Callable[[Sum], Array | None] | None" = None) -> None:
    """Add the errors of every algorithm on one sum to what was found; direct summation says where NaN belongs."""
    exact, unit = sum_.exact()
    results = list(sum_.results())
    direct = results[0][1]
    is_finite = np.isfinite(direct)
    if torch is not None and (theirs := torch(sum_)) is not None:
        results.append(("PyTorch", theirs))
    for name, result in results:
        with np.errstate(all="ignore"):
            units = np.abs(result - exact) / unit
            units[result == exact] = 0
        is_compared = is_finite & np.isfinite(result) & np.isfinite(exact)
        same = (result == direct) | (np.isnan(result) & np.isnan(direct))
        misplaced = int((~np.where(is_finite, np.isfinite(result), same)).sum())
        negative = int((result < 0).sum()) if kind in NOT_NEGATIVE and sum_.function == "forward" else 0
        units = units[is_compared & np.isfinite(unit)]
        errors = found.setdefault((name, kind), Errors())
        errors.add(units, misplaced, negative, f"{sum_.function}, {name}, {kind}: {sum_.spec.to_text()}")


def by_torch(sum_: Sum) -> Array | None:
    """PyTorch's own forward convolution and gradients, where it has such padding."""
    import torch
    from torch.nn import grad as of_torch

    grad: Any = of_torch  # it carries no types

    spec, rank = sum_.spec, sum_.spec.rank
    last = (0, rank + 1, *range(1, rank + 1))

    def first(array: Array, is_last: bool) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array.transpose(last) if is_last else array))

    def taps(array: Array) -> Any:
        is_ours = not spec.kernel_layout.startswith("OI")
        axes = (rank + 1, rank, *range(rank))
        return torch.from_numpy(np.ascontiguousarray(array.transpose(axes) if is_ours else array))

    if any(low != high for low, high in spec.padding):
        return None
    words: dict[str, Any] = {
        "stride": spec.stride,
        "padding": tuple(low for low, _ in spec.padding),
        "dilation": spec.dilation,
        "groups": spec.groups,
    }
    a, b = sum_.arrays
    if sum_.function == "forward":
        convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[rank - 1]
        bias = None if sum_.bias is None else torch.from_numpy(sum_.bias)
        y: Array = convolve(first(a, spec.is_channels_last), taps(b), bias, **words).numpy()
        return y.transpose((0, *range(2, rank + 2), 1)) if spec.is_channels_last else y
    if sum_.function == "input gradient":
        shape = (spec.num_samples, spec.in_channels, *spec.in_size)
        given = (grad.conv1d_input, grad.conv2d_input, grad.conv3d_input)[rank - 1]
        dx: Array = given(shape, taps(b), first(a, spec.is_channels_last), **words).numpy()
        return dx.transpose((0, *range(2, rank + 2), 1)) if spec.is_channels_last else dx
    shape = (spec.out_channels, spec.in_channels, *spec.kernel_size)
    given = (grad.conv1d_weight, grad.conv2d_weight, grad.conv3d_weight)[rank - 1]
    dw: Array = given(first(a, spec.is_channels_last), shape, first(b, spec.is_channels_last), **words).numpy()
    return dw if spec.kernel_layout.startswith("OI") else dw.transpose((*range(2, rank + 2), 1, 0))


def document(found: Numbers, num_specs: int, seed: int) -> str:
    """The tables of docs/accuracy.md."""
    names = sorted({name for name, _ in found}, key=lambda name: (name == "PyTorch", name != "direct", name))
    lines = [RULE.format(num_specs=num_specs, seed=seed)]
    tables: tuple[tuple[str, Callable[[Errors], str]], ...] = (
        ("The worst error, in units of the rule (8 are allowed)", lambda e: f"{e.worst:.2g}"),
        (
            "The root mean square of the errors, in the same units",
            lambda e: f"{math.sqrt(e.squares / max(e.count, 1)):.1g}",
        ),
        (
            "Numbers that are NaN or infinite where direct summation's are not, or the other way",
            lambda e: str(e.misplaced),
        ),
        ("Negative sums of products that are not negative", lambda e: str(e.negative)),
    )
    for title, value in tables:
        lines += [f"## {title}", ""]
        lines += ["| data | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
        for kind in KINDS:
            cells = [value(found[name, kind]) if (name, kind) in found else "" for name in names]
            lines.append(f"| {kind} | " + " | ".join(cells) + " |")
        lines.append("")
    return PREFACE + "\n" + "\n".join(lines).rstrip() + "\n"


RULE = """# Accuracy

The rule: an element differs from the exact sum by at most `n*eps*sum(|x||w|)` with `precision="exact"`, direct
summation, and by at most 8 times that with `"high"`, the default, which admits sums of sums (Toom-Cook along w) and
Fourier transforms. n is the number of products, and the sum of magnitudes is over the output's *own window*: what
lies outside stays outside. Windows of zeros give exactly the bias; NaN and infinities reach the outputs whose
windows hold them, and no other; sums of products that are not negative are not negative.

Both fast ways mix numbers that an output does not see, which cancel up to rounding. So they are used only where the
numbers are alike, and everything else is summed directly, tile by tile, block by block:

- forward and input gradient by Toom-Cook: no number of a tile, over all its channels, is larger than 1/2 of the sum
  of `|x|` over the window of each of its outputs;
- the kernel: each tap of an output channel weighs, over all input channels, at least 1/8 of the largest number of
  that channel, or all zeros; else the whole kernel is summed directly;
- kernel gradient by Toom-Cook: by `sum |x| / max |x|`, the sparsest channel of x and that of dy have enough
  positions in effect to coincide three times;
- FFT: the quietest part of each window has at least 1/16 of the mean energy of its block, spread as over four numbers
  of one size at least (`(sum |x|)**2 >= 4 * sum x**2`), and the taps of an output weigh four times the largest of them.

A kernel gradient of two or three axes is summed row by row, so rows of unlike scales do not mix.

What this does not cover, since it looks at the inputs and at the kernel and not at their products: channels of very
different size whose large ones meet taps that are zero; positions in x and dy of a kernel gradient that are many
and never coincide, as every second one of each; long kernels whose taps fall by more than about `n` from one end to
the other, at the ends of a line. `precision="exact"`, of a call or of the process (`faltung.precision("exact")`),
covers all.

`python -m faltung.bench.accuracy` made this page, in parts (`--part`, `--add`): {num_specs} random convolutions and
gradients (seed {seed}) on data of each of twelve kinds, computed by every algorithm that could serve, whether or not
it would be chosen, and by PyTorch.
"""


@click.command()
@click.option("--specs", default=1000, help="How many random convolutions.")
@click.option("--seed", default=0)
@click.option("--first", default=0, help="The number of the first of them, for runs in parts.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Where the page goes; default: stdout.")
@click.option("--torch/--no-torch", "with_torch", default=True, help="Beside PyTorch's own.")
@click.option("--seconds", default=math.inf, help="End sooner where the time is up.")
@click.option(
    "--part", type=click.Path(path_type=Path), default=None, help="Keep what is found here; go on from there."
)
@click.option("--add", "others", type=click.Path(path_type=Path), multiple=True, help="Parts of other runs to add.")
def main(
    specs: int,
    seed: int,
    first: int,
    out: Path | None,
    with_torch: bool,
    seconds: float,
    part: Path | None,
    others: tuple[Path, ...],
) -> None:
    """Measure, write the page, and fail where an algorithm of ours breaks the rule."""
    end = monotonic() + seconds
    done, found = read_part(part) if part is not None and part.exists() else (0, {})
    while done < specs and monotonic() < end:
        measure(seed, first + done, found, by_torch if with_torch else None)
        done += 1
    if part is not None:
        rows = [[*names, asdict(errors)] for names, errors in found.items()]
        part.write_text(json.dumps({"done": done, "found": rows}), encoding="utf-8")
    for path in others:
        more, theirs = read_part(path)
        done += more
        for names, errors in theirs.items():
            found.setdefault(names, Errors()).add_all(errors)
    page = document(found, done, seed)
    if out is None:
        click.echo(page)
    else:
        out.write_text(page, encoding="utf-8")
    beyond = [line for (name, _), errors in found.items() if name != "PyTorch" for line in errors.beyond]
    for line in beyond:
        click.echo(line, err=True)
    sys.exit(bool(beyond))


def read_part(path: Path) -> tuple[int, Numbers]:
    """How many convolutions a run has measured, and what it found."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept["done"], {(name, kind): Errors(**errors) for name, kind, errors in kept["found"]}


if __name__ == "__main__":
    main()
