"""What `faltung bench` does when it compares: run, show, write, and look back at an old run."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from faltung.bench import against
from faltung.bench.document import document
from faltung.bench.markdown import markdown
from faltung.bench.overview import notes, table
from faltung.bench.page import page
from faltung.bench.peers import OURS, PEERS
from faltung.bench.result import Comparison
from faltung.bench.side_by_side import choose_peers, compare
from faltung.errors import FaltungError


@dataclass(frozen=True, slots=True)
class Files:
    """Where the results go, and where old ones are."""

    json: Path | None = None
    markdown: Path | None = None
    report: Path | None = None
    old: Path | None = None


def side_by_side(
    cases: Mapping[str, str],
    files: Files,
    console: Console,
    tell: Callable[[str], None],
    *,
    peers: str | None = None,
    mode: str | None = None,
    layout: str | None = None,
    threads: int | None = None,
    seconds: float = 0.5,
) -> list[str]:
    """Compare, show and write; return what went wrong with ours: wrong numbers, and what became slower.

    What is not given is as in the old run, if there is one.
    """
    old = Comparison.read(files.old) if files.old else None
    draw = _plots() if files.report else None  # a missing library is told before an hour of measuring
    if old is not None:
        cases = cases or {name: case.spec for name, case in old.cases.items()}
        peers = peers or ",".join(name for name, who in old.participants.items() if not who.missing)
        mode, layout, threads = mode or old.mode, layout or old.layout, threads or old.threads
    chosen = {name: PEERS[name] for name in choose_peers(peers or "all")}
    run = compare(
        cases,
        chosen,
        mode=mode or "forward",
        layout=layout,
        threads=threads,
        seconds=seconds,
        command=shlex.join(["faltung", *sys.argv[1:]]),
        tell=tell,
    )
    console.print(table(run))
    for note in notes(run):
        console.print(note, markup=False, soft_wrap=True)
    if files.json:
        run.write(files.json)
    if files.markdown:
        files.markdown.write_text(markdown(document(run)), encoding="utf-8")
    if files.report and draw:
        files.report.mkdir(parents=True, exist_ok=True)
        run.write(files.report / "results.json")
        (files.report / "benchmarks.md").write_text(markdown(document(run)), encoding="utf-8")
        (files.report / "index.html").write_text(page(document(run), draw(run)), encoding="utf-8")
    wrong = [
        f"{peer} on {name}: {case.results[peer].reason}"
        for name, case in run.cases.items()
        for peer in OURS
        if peer in case.results and case.results[peer].status == "wrong"
    ]
    return [f"wrong numbers: {line}" for line in wrong] + (_look_back(run, old, console) if old else [])


def _look_back(run: Comparison, old: Comparison, console: Console) -> list[str]:
    """Show what changed since the old run; return what became slower."""
    changes = against.changes(run, old)
    slower = [change for change in changes if change.factor > against.SLOWER]
    console.print(
        f"\nAgainst {old.date}{f', commit {old.commit}' if old.commit else ''}: {len(slower)} of {len(changes)} became "
        f"slower by more than {against.SLOWER:g}, measured in times of the peers and of the machine's bound.",
        soft_wrap=True,
    )
    repeats = against.repeats(run, old)
    if repeats:
        steady = sum(factor <= against.STEADY for _, _, factor in repeats)
        name, peer, worst = repeats[0]
        console.print(
            f"{steady} of {len(repeats)} ratios of calls over {against.STEADY_US:g} µs are within "
            f"{against.STEADY - 1:.0%} of the old ones; the least steady is {peer} on {name}, by {worst - 1:.0%}.",
            soft_wrap=True,
        )
    return [f"slower: {c.peer} on {c.case}: {c.reason or f'{c.factor:.2f} times as long'}" for c in slower]


def _plots() -> Callable[[Comparison], dict[str, bytes]]:
    try:
        import matplotlib  # noqa: F401  # plots imports it when it draws
    except ModuleNotFoundError:
        raise FaltungError('bench: a report page needs matplotlib. Install it: pip install "faltung[bench]".') from None
    from faltung.bench.plots import plots

    return plots
