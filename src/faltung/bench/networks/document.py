"""The report of a run as a list of headings, paragraphs and tables; markdown.py writes it down."""

from collections.abc import Iterator

from faltung.bench.document import NONE, Block, Heading, Paragraph, Table
from faltung.bench.networks import NETWORKS
from faltung.bench.networks.peers import OURS
from faltung.bench.networks.result import Case, Result, Run, summary
from faltung.bench.networks.station import TOLERANCE

DETAILS = ("peer", "ratio", "µs", "processor µs", "prepare ms", "first ms", "MB", "error")


def document(run: Run) -> Iterator[Block]:
    """Yield the whole report: the means first, then all cases, worst first."""
    yield Heading(1, "Benchmarks: whole networks, side by side")
    yield from _origin(run)
    yield Heading(2, "Geometric means")
    yield Table(("cases", "peer", "peer's time over ours"), list(means(run)), words=3)
    yield Heading(2, "All cases, worst first")
    yield Paragraph("Under the name of a peer stands the ratio of its time to ours.")
    head = ("network", "batch", "threads", "faltung µs", "best peer", "its µs", "ratio", *run.peers)
    yield Table(head, list(rows(run)))
    yield Heading(2, "Not measured")
    missing = list(not_measured(run))
    yield Table(("peer", "cases", "reason"), missing, words=3) if missing else Paragraph("Nothing was left out.")
    yield Heading(2, "The networks")
    yield Paragraph(
        "Written from public descriptions in `faltung/bench/networks`, with seeded numbers and running statistics that "
        "are not trivial; those called trained come with the packages named. The millions are multiply-adds of one "
        "record."
    )
    yield Table(("network", "host", "kind", "source", "input", "millions"), list(_networks(run)), words=5)
    yield Heading(2, "Every case, every peer")
    yield Paragraph(
        "µs: the best round's median call; processor: the least time of all threads together; prepare: building, "
        "compiling, converting; first: the first call; MB: what it added to resident memory at its peak; error: the "
        "largest one in parts of the output's largest number."
    )
    for case in run.worst_first():
        yield Heading(3, case.name)
        yield Table(DETAILS, [_detail(case, peer, result) for peer, result in case.results.items()])


def means(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield cases, peer and the summary of their ratios: the headline first."""
    everything, best = "all networks, batches and threads", "the best of each case"
    yield everything, best, summary(case.ratio(case.best_peer) for case in run.cases)
    for threads, batch in sorted({(case.threads, case.batch) for case in run.cases}):
        cases = [case for case in run.cases if (case.threads, case.batch) == (threads, batch)]
        label = f"batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
        yield label, best, summary(case.ratio(case.best_peer) for case in cases)
    alone = [case for case in run.cases if case.threads == 1]
    if alone:
        ratios = (case.ratio(case.best_peer, of_processor=True) for case in alone)
        yield "1 thread, processor time", best, summary(ratios)
    for peer in run.peers:
        yield everything, f"`{peer}`", summary(case.ratio(peer) for case in run.cases)
    small = [case for case in run.cases if case.is_small and case.batch == 1]
    for peer in ("keras-predict", "keras"):
        if peer in run.peers:
            yield "one record, under a million operations", f"`{peer}`", summary(case.ratio(peer) for case in small)


def rows(run: Run) -> Iterator[tuple[str, ...]]:
    """Yield a row for each case, worst first: the case, our time, the best peer and its, and the ratios of all."""
    for case in run.worst_first():
        best = case.best_peer
        times = (case.results.get(peer or "") for peer in (OURS[0], best))
        ours, theirs = (microseconds(found.seconds) if found and found.is_measured else NONE for found in times)
        ratios = (ratio_cell(case.ratio(peer)) for peer in (best, *run.peers))
        yield case.network, str(case.batch), str(case.threads), ours, best or NONE, theirs, *ratios


def not_measured(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield peer, cases and reason of all that has no times; cases with the same reason together."""
    for name, who in run.participants.items():
        if who.missing:
            yield name, "all cases", who.missing
    found: dict[tuple[str, str], list[str]] = {}
    for case in run.cases:
        for peer, result in case.results.items():
            if not result.is_measured:
                found.setdefault((peer, f"{result.status}: {result.reason}"), []).append(case.name)
    for (peer, reason), names in found.items():
        yield peer, f"all {len(names)} cases" if len(names) == len(run.cases) > 1 else "; ".join(names), reason
    for name, reason in run.refused.items():
        yield "all peers", name, reason


def microseconds(seconds: float) -> str:
    """Return a time in microseconds, in as many digits as it deserves."""
    return f"{1e6 * seconds:,.1f}" if seconds < 1e-3 else f"{1e6 * seconds:,.0f}"


def ratio_cell(ratio: float | None) -> str:
    """Return a ratio with three digits at least, or that there is none."""
    if ratio is None:
        return NONE
    return f"{ratio:,.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}"


def _origin(run: Run) -> Iterator[Block]:
    machine = run.machine
    yield Paragraph(
        f"Written by `{run.command}` on {run.date}" + (f", commit {run.commit}" if run.commit else "") + ". "
        f"{machine.processor}, {machine.peak_gflops_f32:,.0f} GFLOP/s float32 on {machine.threads} threads, "
        f"{machine.read_gbps:.0f} GB/s read, {machine.write_gbps:.0f} written."
    )
    yield Paragraph(", ".join(f"{package} {version}" for package, version in sorted(run.versions.items())) + ".")
    yield Paragraph(
        "A ratio is the time of the peer over that of faltung: above 1, faltung is quicker. Each lives in a process of "
        "its own; they take turns within each case, only one runs at a time, all on the same processors with as many "
        "threads; a time is the best round's. The best peer of a case is the quickest of all that are not ours. Each "
        f"result was compared with the host's float64 before it was timed, and may be off by {TOLERANCE:g} of the "
        "largest number; ONNX files are compared with ONNX Runtime in float32 without its optimisations."
    )
    table = [(f"`{name}`", who.layout or NONE, who.description or NONE) for name, who in run.participants.items()]
    yield Table(("peer", "networks of", "what it calls"), table, words=3)


def _networks(run: Run) -> Iterator[tuple[str, ...]]:
    macs = {case.network: case.macs / case.batch for case in run.cases}
    for name, count in macs.items():
        network = NETWORKS.get(name)
        if network is not None:
            source = f"{network.source}, {network.package}" if network.package else network.source
            shape = " x ".join(map(str, network.shape))
            yield name, network.host, network.kind, source, shape, f"{count / 1e6:,.2f}" if count else NONE


def _detail(case: Case, peer: str, result: Result) -> tuple[str, ...]:
    if not result.is_measured:
        return (f"`{peer}`", result.status, *[NONE] * 6)
    return (
        f"`{peer}`",
        ratio_cell(case.ratio(peer)),
        microseconds(result.seconds),
        microseconds(result.processor_seconds),
        f"{1e3 * result.prepare_seconds:,.1f}",
        f"{1e3 * result.first_seconds:,.1f}",
        f"{result.memory_bytes / 1e6:,.1f}",
        f"{result.error:.1g}",
    )
