"""The report as a list of headings, paragraphs, tables and figures; markdown.py and page.py write it down."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faltung.bench.known import known_reason
from faltung.bench.peers import OURS
from faltung.bench.report import QUIET_SHARE
from faltung.bench.result import Case, Comparison
from faltung.bench.station import TOLERANCE
from faltung.bench.sweep import JUMP, cliffs, curves

NONE = "–"
DETAILS = (
    *("peer", "ratio", "µs", "spread", "GFLOP/s", "of the bound"),
    *("cold µs", "prepare ms", "first ms", "faults", "MB", "error"),
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text, with `code` in backticks."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first `words` columns are words, the others numbers."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot by its name in plots.py."""

    name: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text in columns, as a terminal shows it."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG file."""

    name: str
    data: bytes


Block = Heading | Paragraph | Table | Figure | Code | Picture


def document(run: Comparison) -> Iterator[Block]:
    """Yield the whole report: what is slower first, then everything, worst first."""
    yield Heading(1, "Benchmarks: faltung and its peers, side by side")
    yield from _origin(run)
    yield Heading(2, "Slower than a peer")
    yield from _slower(run)
    yield Heading(2, "All cases, worst first")
    yield Figure("ratios")
    yield from _overview(run)
    yield Figure("roofline")
    if curves(run):
        yield Heading(2, "Cliffs")
        yield Figure("sweeps")
        yield from _cliffs(run)
    yield Heading(2, "Not measured")
    yield from _not_measured(run)
    yield Heading(2, "Every case, every peer")
    yield Paragraph(
        "µs: the median warm call; spread: the distance between the quartiles over the median; cold: a call after the "
        "caches were filled with something else; prepare: making layer, session or trace; first: the first call, which "
        "compiles where a peer compiles late, and finds fresh memory; faults: page faults of a warm call, each for a "
        "page that the allocator gave back and got anew; MB: what the first call added to resident memory at its peak, "
        "the result included; error: the largest one over the bound of direct summation. GFLOP/s count the "
        "multiply-adds of direct summation, whatever a peer does."
    )
    for name in run.worst_first():
        yield from _details(run, name)


def _origin(run: Comparison) -> Iterator[Block]:
    machine = run.machine
    threads = f"{run.threads} thread" + ("s" if run.threads > 1 else "")
    yield Paragraph(
        f"Written by `{run.command}` on {run.date}" + (f", commit {run.commit}" if run.commit else "") + ". "
        f"{machine.processor}, {threads}, {machine.peak_gflops_f32:,.0f} GFLOP/s float32, {machine.read_gbps:.0f} GB/s "
        f"read, {machine.write_gbps:.0f} written. Mode: {run.mode}. "
        + (f"All peers get data in {run.layout} order." if run.layout else "Each peer gets data as its users hold it.")
    )
    yield Paragraph(", ".join(f"{package} {version}" for package, version in sorted(run.versions.items())) + ".")
    yield Paragraph(
        "A ratio is the time of the peer over the time of faltung on data in the same layout: above 1, faltung is "
        "quicker. Each peer lives in a process of its own; they take turns within each case, only one runs at a time, "
        "all on the same processors with as many threads; a ratio is the median of the rounds' ratios. Each result was "
        f"compared with the reference before it was timed: up to {TOLERANCE:g} times the bound of direct summation is "
        "accepted, as fast algorithms (Winograd, FFT) need it. The bound is the longer of the times that this machine "
        "needs for the multiply-adds at peak and for the memory traffic, measured in the same rounds."
    )
    if busy := [name for name, case in run.cases.items() if case.processor_share < QUIET_SHARE]:
        yield Paragraph(f"Others used the machine during {len(busy)} cases: uncertain are {', '.join(busy)}.")
    rows = [(f"`{name}`", who.layout or NONE, who.description or NONE) for name, who in run.participants.items()]
    yield Table(("peer", "data", "what it calls"), rows, words=3)


def _slower(run: Comparison) -> Iterator[Block]:
    found = [(ratio, name, peer) for name in run.cases for peer, ratio in run.ratios(name).items() if ratio < 1]
    compared = sum(len(run.ratios(name)) for name in run.cases)
    yield Paragraph(f"In {len(found)} of {compared} comparisons the peer is quicker, be it by 1 %.")
    rows = []
    for ratio, name, peer in sorted(found):
        results = run.cases[name].results
        ours = run.counterpart(peer) or ""
        times = (f"{results[who].microseconds:,.1f}" for who in (ours, peer))
        reason = known_reason(name, peer) or "not known yet"
        rows.append((f"`{name}`", f"`{peer}`", reason, run.participants[peer].layout, *times, f"{ratio:.2f}"))
    if rows:
        yield Table(("case", "peer", "reason", "data", "faltung µs", "peer µs", "ratio"), rows, words=4)


def _overview(run: Comparison) -> Iterator[Block]:
    peers = [name for name, who in run.participants.items() if name not in OURS and not who.missing]
    ours = [name for name in OURS if name in run.participants]
    rows = []
    for name in run.worst_first():
        case, ratios = run.cases[name], run.ratios(name)
        times = [f"{case.results[who].microseconds:,.1f}" if who in case.measured else NONE for who in ours]
        shares = [f"{case.share_of_bound(who):.0%}" if who in case.measured else NONE for who in ours]
        cells = [f"{ratios[peer]:.2f}" if peer in ratios else NONE for peer in peers]
        rows.append((f"`{name}`", *times, *shares, *cells))
    head = ("case", *(f"{who} µs" for who in ours), *(f"{who} of the bound" for who in ours), *peers)
    yield Paragraph("Times and shares of the bound are ours; under the name of a peer stands its ratio.")
    yield Table(head, rows)


def _cliffs(run: Comparison) -> Iterator[Block]:
    found = cliffs(run)
    yield Paragraph(
        f"Between neighbours of a sweep the time per output may grow by at most {JUMP:g} times more than the work per "
        f"output does, and a smaller convolution may take at most {JUMP:g} times as long as a larger one. Beyond that: "
        + (f"{len(found)} pairs." if found else "none.")
    )
    rows = [(c.axis, f"`{c.peer}`", f"{c.before} → {c.after}", f"{c.factor:.2f}") for c in found]
    if rows:
        yield Table(("sweep", "peer", "between", "jump"), rows, words=3)


def _not_measured(run: Comparison) -> Iterator[Block]:
    rows = [(f"`{name}`", "all cases", who.missing) for name, who in run.participants.items() if who.missing]
    rows += [(peer, names, reason) for peer, names, reason in not_measured(run)]
    rows += [("all peers", f"`{name}`", reason) for name, reason in run.refused.items()]
    yield Table(("peer", "cases", "reason"), rows, words=3) if rows else Paragraph("Nothing was left out.")


def not_measured(run: Comparison) -> list[tuple[str, str, str]]:
    """Return peer, cases and reason of all results without times; cases with the same reason together."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, case in run.cases.items():
        for peer, result in case.results.items():
            if not result.is_measured:
                found.setdefault((peer, f"{result.status}: {result.reason}"), []).append(name)
    everything = len(run.cases)
    return [
        (f"`{peer}`", "all cases" if len(names) == everything > 1 else ", ".join(f"`{name}`" for name in names), reason)
        for (peer, reason), names in found.items()
    ]


def _details(run: Comparison, name: str) -> Iterator[Block]:
    case = run.cases[name]
    yield Heading(3, name)
    yield Paragraph(
        f"`{case.spec}`: {case.flops / 2e6:,.1f} million multiply-adds, {case.num_bytes / 1e6:,.2f} MB, "
        f"{case.num_outputs:,} outputs; bound: {case.bound}."
    )
    yield Table(DETAILS, [_detail(run, case, name, peer) for peer in case.results])


def _detail(run: Comparison, case: Case, name: str, peer: str) -> tuple[str, ...]:
    result = case.results[peer]
    if not result.is_measured:
        return (f"`{peer}`", result.status, *[NONE] * 10)
    ratio = run.ratio(name, peer)
    return (
        f"`{peer}`",
        NONE if ratio is None else f"{ratio:.2f}",
        f"{result.microseconds:,.1f}",
        f"{result.spread:.0%}",
        f"{case.gflops(peer):,.1f}",
        f"{case.share_of_bound(peer):.0%}",
        f"{1e6 * result.cold_seconds:,.0f}",
        f"{1e3 * result.prepare_seconds:,.1f}",
        f"{1e3 * result.first_seconds:,.1f}",
        f"{result.page_faults:,.0f}",
        f"{result.memory_bytes / 1e6:,.1f}",
        f"{result.error:.2g}" + (" (beyond)" if result.error > 1 else ""),
    )
