"""What a comparison says in the terminal: a table of ratios, and under it what was left out."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from faltung.bench.document import NONE, not_measured
from faltung.bench.known import known_reason
from faltung.bench.peers import OURS
from faltung.bench.report import busy_note
from faltung.bench.result import Case, Comparison
from faltung.bench.sweep import cliffs


def table(run: Comparison) -> Table:
    """Return one row for each case, worst first, and one column for each peer."""
    peers = [name for name, who in run.participants.items() if name not in OURS and not who.missing]
    result = Table(
        title=f"{run.machine.processor}, {run.threads} threads, {run.mode}",
        title_justify="left",
        caption="Ratios: time of the peer over time of faltung on data in the same layout; above 1, faltung is "
        "quicker. µs and share of the machine's bound are those of the quicker faltung.",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    result.add_column("case", overflow="fold")
    for heading in ("faltung\nµs", "of\nbound", *(_folded(peer) for peer in peers)):
        result.add_column(heading, justify="right", no_wrap=True)
    for name in run.worst_first():
        ratios = run.ratios(name)
        result.add_row(name, *_ours(run.cases[name]), *(_cell(ratios.get(peer)) for peer in peers))
    return result


def notes(run: Comparison) -> Iterator[str]:
    """Yield a line for everything that the table does not show."""
    for name, who in run.participants.items():
        if who.missing:
            yield f"{name}: {who.missing}"
    for peer, cases, reason in not_measured(run):
        yield f"{peer}: {reason}: {cases}".replace("`", "")
    for name, reason in run.refused.items():
        yield f"not measured: {name}: {reason}"
    for name, case in run.cases.items():
        for peer in case.measured:
            if case.results[peer].error > 1:
                yield f"{peer}: {name}: {case.results[peer].error:.1f} times the error bound of direct summation"
        for peer, ratio in run.ratios(name).items():
            if ratio < 1 and (reason := known_reason(name, peer)):
                yield f"{peer} is quicker on {name}: {reason}"
    for cliff in cliffs(run):
        where = f"{cliff.axis} {cliff.before} → {cliff.after}"
        yield f"{cliff.peer}: time per output jumps by {cliff.factor:.2f} at {where}"
    if run.cases and (note := busy_note(min(case.processor_share for case in run.cases.values()))):
        yield note


def _ours(case: Case) -> tuple[str, str]:
    ours = [name for name in OURS if name in case.measured]
    if not ours:
        return NONE, NONE
    best = min(ours, key=lambda name: case.results[name].microseconds)
    return f"{case.results[best].microseconds:,.1f}", f"{case.share_of_bound(best):.0%}"


def _cell(ratio: float | None) -> Text:
    if ratio is None:
        return Text(NONE, style="dim")
    digits = 2 if ratio < 10 else 1 if ratio < 100 else 0
    return Text(f"{ratio:,.{digits}f}", style="bold red" if ratio < 1 else "")


def _folded(name: str) -> str:
    """A heading in lines of up to seven letters."""
    parts = {"tensorflow": "tensor\nflow", "onnxruntime": "onnx\nruntime", "openvino": "open\nvino"}
    return parts.get(name, name.replace("-", "\n"))
