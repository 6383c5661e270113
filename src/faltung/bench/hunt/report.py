"""What a hunt prints."""

from collections.abc import Iterator, Sequence

from faltung.bench.hunt.hunt import Bag
from faltung.bench.hunt.measure import Finding

NUM_SHOWN = 20
LIMITS = (0.8, 0.95)


def lines(bag: Bag) -> Iterator[str]:
    """The worst findings, the simplest forms of them, and what all of them say."""
    yield from _rows(bag.findings[:NUM_SHOWN])
    if bag.shrunk:
        yield "as simple as they get:"
        yield from _rows(bag.shrunk)
    yield from summary(bag)


def _rows(findings: Sequence[Finding]) -> Iterator[str]:
    """A line for each, ending with the spec text that `bench` takes."""
    yield f"{'torch':>6}  {'other layout':>12}  {'us':>8}  {'mode':15}  spec"
    for found in findings:
        ratios = f"{found.ratio:6.2f}  {found.layout_ratio:12.2f}  {1e6 * found.seconds:8.0f}"
        yield f"{ratios}  {found.mode:15}  {found.spec.to_text()}"


def summary(bag: Bag) -> Iterator[str]:
    """Counts and means, by mode and layout."""
    for mode in sorted({finding.mode for finding in bag.findings}):
        for name, is_last in (("last", True), ("first", False)):
            part = Bag([f for f in bag.findings if f.mode == mode and f.spec.is_channels_last == is_last])
            if part.findings:
                shares = ", ".join(f"{part.share_below(limit):.1%} below {limit}" for limit in LIMITS)
                count = f"{len(part.findings)} convolutions"
                yield f"{mode}, channels {name}: {part.mean():.2f} times PyTorch's speed over {count}; {shares}"
