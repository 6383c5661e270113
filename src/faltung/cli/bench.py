"""`faltung bench`: one convolution against the machine's bound, algorithms, or libraries side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import faltung as ft
from faltung.bench.hunt.draw import MODES
from faltung.bench.networks.peers import PEERS as HOSTS
from faltung.bench.peers import PEERS
from faltung.bench.suite import LAYOUTS, SUITES, in_layout, load
from faltung.cli.console import EXISTING_FILE, OUTPUT_FILE, Failure, console, exit_for, one_line, progress, telling
from faltung.errors import CodegenError, ShapeError, UnsupportedConvError
from faltung.spec import ConvSpec, read_cases

if TYPE_CHECKING:
    from faltung.bench.report import BenchReport


CASE_SECONDS, HUNT_SECONDS = 0.5, 60.0


@click.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--suite", type=click.Choice(SUITES), multiple=True, help="The cases of a suite; may be repeated.")
@click.option("--cases", "case_file", type=EXISTING_FILE, help='A file with a case in each line: "name: TEXT".')
@click.option(
    "--networks",
    metavar="NAMES",
    help='Compare whole networks: "all", or some of a long list; the peers are then ' + ", ".join(HOSTS) + ".",
)
@click.option(
    "--hunt",
    is_flag=True,
    help="Hunt: random convolutions beside PyTorch on one thread, or those given, the worst first.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of a hunt: the same one draws the same cases.")
@click.option("--peers", help='Compare with peers: "all", or some of ' + ", ".join(PEERS) + ".")
@click.option(
    "--mode",
    type=click.Choice([*MODES, "training"]),
    help="Training: forward and both gradients; compares. Of a hunt: any other; all of them in turns by default.",
)
@click.option(
    "--layout",
    type=click.Choice(list(LAYOUTS)),
    help="Channels last (nwc) or first (ncw), whatever the text says.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to use (default: all processors we may run on).")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help=f"Time for each case and peer (default: {CASE_SECONDS:g}); of a hunt, for all (default: {HUNT_SECONDS:g}).",
)
@click.option("--json", "json_file", type=OUTPUT_FILE, help="Write everything measured here.")
@click.option("--markdown", "--out", "markdown_file", type=OUTPUT_FILE, help="Write a report here. Compares.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a page with plots, the report and the JSON into this directory. Compares.",
)
@click.option("--against", type=EXISTING_FILE, help="Say what is slower than in this old JSON. Compares.")
@click.option("--choices", is_flag=True, help="Time all algorithms of faltung instead: does it choose the best one?")
def bench(
    texts: tuple[str, ...],
    suite: tuple[str, ...],
    case_file: Path | None,
    networks: str | None,
    hunt: bool,
    seed: int,
    peers: str | None,
    mode: str | None,
    layout: str | None,
    threads: int | None,
    seconds: float | None,
    json_file: Path | None,
    markdown_file: Path | None,
    report: Path | None,
    against: Path | None,
    choices: bool,
) -> None:
    """Measure convolutions against what this machine can do, or side by side with other libraries.

    TEXT describes one, for example "conv1d n64 w1000 ic64 oc64 kw7 same". Every result is checked against the reference
    before it is timed; shares are of this machine's own measured bound.

    With --peers, or any option that compares, every peer runs in a process of its own, and they take turns. With
    --against alone, everything is as in the old run; the exit code is 1 if faltung became slower.

    With --hunt, random convolutions are measured beside PyTorch, and the worst are made as simple as they get.

    With --networks, whole networks run instead, at batch 1 and 32, on one thread and on all.
    """
    if hunt:
        if any((networks, threads, json_file, markdown_file, report, against, choices, mode == "training")):
            raise click.UsageError("--hunt goes with cases, --mode, --layout, --seed, --seconds and --peers only.")
        hunted = _cases(texts, suite, case_file)
        _hunt(
            hunted,
            mode=mode,
            layout=layout,
            seed=seed,
            seconds=HUNT_SECONDS if seconds is None else seconds,
            peers=peers,
        )
        return
    if mode not in (None, "forward", "training"):
        raise click.UsageError(f"--mode {mode} is of a hunt: add --hunt.")
    seconds = CASE_SECONDS if seconds is None else seconds
    if networks is not None:
        others = (*texts, *suite, case_file, mode, layout, report, against, choices)
        if any(others):
            raise click.UsageError("--networks goes with --peers, --threads, --seconds, --json and --markdown only.")
        files = {"json_file": json_file, "markdown_file": markdown_file}
        _compare_networks(networks, peers=peers, threads=threads, seconds=seconds, **files)
        return
    cases = _cases(texts, suite, case_file)
    compares = any(option is not None for option in (peers, mode, markdown_file, report, against))
    if not cases and against is None:
        raise click.UsageError(
            'Nothing to measure: give a text such as "conv1d n1 w1000 ic64 oc64 kw7", or --suite core.'
        )
    if choices:
        if compares or json_file:
            raise click.UsageError(
                "--choices compares faltung's algorithms with each other: leave out --peers and files."
            )
        _count_choices(cases, typed=texts, layout=layout, threads=threads, seconds=seconds)
        return
    if compares:
        places = (json_file, markdown_file, report, against)
        _compare(cases, texts, places, peers=peers, mode=mode, layout=layout, threads=threads, seconds=seconds)
        return
    if threads is not None:
        ft.set_num_threads(threads)
    measured = _measure(cases, typed=texts, layout=layout, seconds=seconds)
    console().print(measured.table())
    for name, reason in measured.refused.items():
        click.echo(f"not measured: {name}: {reason}")
    for name, reason in measured.wrong.items():
        click.echo(f"WRONG: {name}: {reason}")
    if json_file:
        json_file.write_text(json.dumps(measured.to_dict(), indent=1) + "\n", encoding="utf-8")
    if measured.wrong:
        raise Failure(f"wrong numbers: {', '.join(measured.wrong)}")


def _cases(texts: tuple[str, ...], suite: tuple[str, ...], case_file: Path | None) -> dict[str, str]:
    """The spec texts that were asked for, by name."""
    cases = {text: text for text in texts}
    for name in suite:
        cases |= load(name)
    if case_file:
        cases |= read_cases(case_file.read_text(encoding="utf-8"))
    return cases


def _hunt(
    cases: dict[str, str], *, mode: str | None, layout: str | None, seed: int, seconds: float, peers: str | None
) -> None:
    """Hunt, or measure the cases as a hunt does; exit with 2 if numbers of ours are wrong."""
    from faltung.bench.hunt.hunt import hunt
    from faltung.bench.hunt.report import lines

    given = [_with_mode(name, text, mode, layout) for name, text in cases.items()]
    with telling("Starting PyTorch", len(cases) or None) as tell:
        modes = MODES if mode is None else (mode,)
        bag = hunt(modes, seconds=seconds, seed=seed, peers=peers, layout=layout, given=given, tell=tell)
    for line in lines(bag):
        click.echo(line)
    exit_for([f"wrong: {line}" for line in bag.wrong])


def _with_mode(name: str, text: str, mode: str | None, layout: str | None) -> tuple[str, ConvSpec]:
    """The mode of a case, that of its name ("input-gradient/…") unless one was asked for, and its spec."""
    said = name.partition("/")[0]
    return mode or (said if said in MODES else "forward"), in_layout(ConvSpec.from_text(text), layout)


def _measure(cases: dict[str, str], *, typed: tuple[str, ...], layout: str | None, seconds: float) -> "BenchReport":
    """Measure the cases; what faltung refuses of a suite is reported, what it refuses of the user's own is an error."""
    from faltung.bench import machine, run
    from faltung.bench.report import BenchReport

    report = BenchReport(machine.measure())
    for name, text in progress(list(cases.items()), "Measuring"):
        try:
            report.measured[name] = run.measure(text, layout=layout, seconds=seconds)
        except CodegenError as error:
            report.wrong[name] = one_line(error)
        except (ShapeError, UnsupportedConvError) as error:
            if name in typed:
                raise
            report.refused[name] = one_line(error)
    return report


def _count_choices(
    cases: dict[str, str], *, typed: tuple[str, ...], layout: str | None, threads: int | None, seconds: float
) -> None:
    """Time all algorithms of each case; what faltung refuses of a suite is told, of the user's own it is an error."""
    from faltung.bench.choices import NEAR, measure_choice, share_near_best, table

    if threads is not None:
        ft.set_num_threads(threads)
    measured = []
    for name, text in progress(list(cases.items()), "Measuring"):
        try:
            choice = measure_choice(name, text, layout=layout, seconds=seconds)
        except (ShapeError, UnsupportedConvError) as error:
            if name in typed:
                raise
            click.echo(f"not measured: {name}: {one_line(error)}")
        else:
            if choice.has_others:
                measured.append(choice)
    if not measured:
        click.echo("No case has more than one algorithm.")
        return
    misses = table(measured)
    if misses.row_count:
        console().print(misses)
    near = f"{share_near_best(measured):.1%} of {len(measured)}"
    click.echo(f"{near} choices take at most {NEAR:g} times as long as the best algorithm.")


def _compare(cases: dict[str, str], typed: tuple[str, ...], files: tuple[Path | None, ...], **options: Any) -> None:
    """Compare side by side; exit with 2 if numbers of ours are wrong, with 1 if only times became worse."""
    from faltung.bench.case import read_case
    from faltung.bench.command import Files, side_by_side

    for text in typed:
        read_case(text)
    with telling("Starting the peers", len(cases) or None) as tell:
        troubles = side_by_side(cases, Files(*files), console(), tell, **options)
    exit_for(troubles)


def _compare_networks(names: str, **options: Any) -> None:
    """Compare whole networks; exit with 2 if numbers of ours are wrong."""
    from faltung.bench.networks.command import whole_networks

    with telling("Starting", None) as tell:
        troubles = whole_networks(names, console(), tell, **options)
    exit_for(troubles)
