"""What `faltung bench --networks` does: run, show, and write."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from faltung.bench.markdown import markdown
from faltung.bench.networks.document import document, means, not_measured, rows
from faltung.bench.networks.given import given, peers_for
from faltung.bench.networks.peers import OURS
from faltung.bench.networks.result import Run
from faltung.bench.networks.side_by_side import choose_networks, choose_peers, compare


def whole_networks(
    names: str,
    console: Console,
    tell: Callable[[str], None],
    *,
    peers: str | None = None,
    threads: int | None = None,
    seconds: float = 0.5,
    json_file: Path | None = None,
    markdown_file: Path | None = None,
) -> list[str]:
    """Compare, show and write; return where numbers of ours are wrong."""
    run = compare(
        choose_networks(names),
        choose_peers(peers or "all"),
        threads=threads,
        seconds=seconds,
        command=shlex.join(["faltung", *sys.argv[1:]]),
        tell=tell,
    )
    if json_file:
        run.write(json_file)
    if markdown_file:
        markdown_file.write_text(markdown(document(run)), encoding="utf-8")
    console.print(table(run))
    for cases, peer, ratios in means(run):
        console.print(f"{cases}, against {peer}: {ratios}".replace("`", ""), markup=False, soft_wrap=True)
    return _troubles(run, console)


def one_model(
    model: str,
    host: str,
    inputs: dict[str, tuple[tuple[int, ...], str]],
    console: Console,
    tell: Callable[[str], None],
    *,
    seconds: float = 0.5,
) -> list[str]:
    """Compare one model, named as on the command line, with its host and the usual runtimes; return what is wrong."""
    batch = next((shape[0] for shape, _ in inputs.values() if shape), 1)
    networks = {Path(model).name: given(model, host, inputs)}
    run = compare(networks, peers_for(host), batches=(batch,), seconds=seconds, tell=tell)
    console.print(table(run))
    return _troubles(run, console)


def _troubles(run: Run, console: Console) -> list[str]:
    """Print what was not measured; return where numbers of ours are wrong."""
    for peer, cases, reason in not_measured(run):
        console.print(f"{peer}: {reason}: {cases}", markup=False, soft_wrap=True)
    return [
        f"wrong numbers: {peer} on {case.name}: {case.results[peer].reason}"
        for case in run.cases
        for peer in OURS
        if peer in case.results and case.results[peer].status == "wrong"
    ]


def table(run: Run) -> Table:
    """Return one row for each case, worst first, and one column for each peer."""
    result = Table(
        title=run.machine.processor,
        title_justify="left",
        caption="Under the peers: their time over that of faltung; above 1, faltung is quicker.",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    result.add_column("network", overflow="fold")
    for heading in (
        "batch",
        "thr.",
        "faltung\nµs",
        "best peer",
        "its\nµs",
        "ratio",
        *(peer.replace("-", "\n") for peer in run.peers),
    ):
        result.add_column(heading, justify="right", no_wrap=True)
    for row in rows(run):
        result.add_row(*row)
    return result
