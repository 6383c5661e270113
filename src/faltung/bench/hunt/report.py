"""What a hunt prints."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from faltung.bench.hunt.hunt import Bag
from faltung.bench.hunt.measure import Finding

NUM_SHOWN = 20
LIMITS = (0.8, 0.95)


def show(bag: Bag, console: Console) -> None:
    """Print the worst findings, the simplest forms of them, and what all of them say."""
    console.print(table(bag.findings[:NUM_SHOWN]))
    if bag.shrunk:
        console.print("as simple as they get:")
        console.print(table(bag.shrunk))
    for line in summary(bag):
        console.print(line)


def table(findings: Sequence[Finding]) -> Table:
    """The findings as they come, with the spec texts that `bench` takes."""
    result = Table(box=None, header_style="bold")
    for name in ("torch", "other layout"):
        result.add_column(name, justify="right")
    for name in ("us", "mode", "spec"):
        result.add_column(name, justify="right" if name == "us" else "left", overflow="fold")
    for finding in findings:
        numbers = f"{finding.ratio:.2f}", f"{finding.layout_ratio:.2f}", f"{1e6 * finding.seconds:.0f}"
        result.add_row(*numbers, finding.mode, finding.spec.to_text())
    return result


def summary(bag: Bag) -> Iterator[str]:
    """Counts and means, by mode and layout."""
    for mode in sorted({finding.mode for finding in bag.findings}):
        for name, is_last in (("last", True), ("first", False)):
            part = Bag([f for f in bag.findings if f.mode == mode and f.spec.is_channels_last == is_last])
            if part.findings:
                shares = ", ".join(f"{part.share_below(limit):.1%} below {limit}" for limit in LIMITS)
                count = f"{len(part.findings)} convolutions"
                yield f"{mode}, channels {name}: {part.mean():.2f} times PyTorch's speed over {count}; {shares}"
