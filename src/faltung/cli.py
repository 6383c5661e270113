"""The command line. Each command imports what it needs when it runs, so that `faltung --help` stays quick."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import faltung as ft
from faltung.bench.suite import LAYOUTS, SUITES, load
from faltung.errors import CodegenError, FaltungError, ShapeError, UnsupportedConvError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from faltung.bench.report import Report
    from faltung.demo.program import Result

T = TypeVar("T")
FRAMEWORKS = ("torch", "keras", "jax", "tensorflow", "tensorflow-cpu")


class Failure(click.ClickException):
    """One line on stderr and exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """The commands; an error that faltung raises on purpose becomes one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except FaltungError as error:
            raise Failure(_one_line(error)) from error


@click.group(cls=Commands)
@click.version_option(package_name="faltung")
def main() -> None:
    """A convolution compiler: a kernel for exactly your convolution, on exactly this processor."""


@main.command()
@click.option("--clear-cache", is_flag=True, help="First delete the compiled kernels kept on disk.")
def info(clear_cache: bool) -> None:
    """Show the processor and its limits, the cache, the frameworks."""
    from rich.table import Table

    from faltung.runtime import cache

    if clear_cache:
        click.echo(f"Deleted {cache.clear()} files.")
    table = Table.grid(padding=(0, 2))
    for name, value in _facts():
        table.add_row(name, value)
    _console().print(table)


@main.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--suite", type=click.Choice(SUITES), multiple=True, help="Measure the cases of a suite; may be repeated."
)
@click.option(
    "--layout", type=click.Choice(list(LAYOUTS)), help="Channels last (nwc) or first (ncw), whatever the text says."
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to use (default: faltung's own choice).")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Time spent on each case."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write everything measured here."
)
def bench(
    texts: tuple[str, ...],
    suite: tuple[str, ...],
    layout: str | None,
    threads: int | None,
    seconds: float,
    json_file: Path | None,
) -> None:
    """Measure convolutions against what this machine can do.

    TEXT describes one, for example "conv1d n64 w1000 ic64 oc64 kw7 same". Every result is checked against the reference
    before it is timed; shares are of this machine's own measured bound.
    """
    cases = {text: text for text in texts}
    for name in suite:
        cases |= load(name)
    if not cases:
        raise click.UsageError(
            'Nothing to measure: give a text such as "conv1d n1 w1000 ic64 oc64 kw7", or --suite core.'
        )
    if threads is not None:
        ft.set_num_threads(threads)
    report = _measure(cases, typed=texts, layout=layout, seconds=seconds)
    _console().print(report.table())
    for name, reason in report.refused.items():
        click.echo(f"not measured: {name}: {reason}")
    for name, reason in report.wrong.items():
        click.echo(f"WRONG: {name}: {reason}")
    if json_file:
        json_file.write_text(json.dumps(report.to_dict(), indent=1) + "\n", encoding="utf-8")
    if report.wrong:
        raise Failure(f"wrong numbers: {', '.join(report.wrong)}")


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="faltung-demo",
    show_default=True,
    help="Where the pictures go.",
)
def demo(out: Path) -> None:
    """Run three short programs on real data and draw the results."""
    try:
        from faltung.demo import PROGRAMS
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("matplotlib", "pywt"):
            raise
        raise Failure("The demo needs matplotlib and PyWavelets: pip install matplotlib PyWavelets") from error
    results = [run(out) for run in _progress(list(PROGRAMS.values()), "Convolving real data")]
    _console().print(_demo_table(results))
    click.echo(f"The pictures are in {out}: {', '.join(result.picture.name for result in results)}")


def _one_line(error: FaltungError) -> str:
    return " ".join(str(error).split())


def _console() -> "Console":
    """Return the console for results; into a file or a pipe, lines have 120 columns."""
    from rich.console import Console

    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=120 if is_free else None, highlight=False)


def _progress(steps: list[T], title: str) -> Iterable[T]:
    """Yield the steps, under a progress bar where someone is watching."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(steps, title, console=console, transient=True, disable=not console.is_terminal)


def _facts() -> Iterator[tuple[str, str]]:
    """Yield the rows of `faltung info`."""
    from faltung.bench import machine as machines
    from faltung.bench.report import busy_note
    from faltung.runtime import cache

    machine = machines.measure()
    yield "faltung", metadata.version("faltung")
    yield "processor", machine.processor
    yield "target", f"{machine.target}, vectors of {machine.vector_bits} bits"
    yield "threads", str(machine.threads)
    yield "peak, measured", f"{machine.peak_gflops_f32:,.0f} GFLOP/s float32, {machine.peak_gflops_f64:,.0f} float64"
    yield (
        "memory, measured",
        f"{machine.read_gbps:.1f} GB/s read, {machine.write_gbps:.1f} write, {machine.copy_gbps:.1f} copy",
    )
    if note := busy_note(machine.processor_share):
        yield "", note
    files, size = cache.size()
    yield "cache", f"{cache.directory()}: {files} files, {size / 1e6:.1f} MB" if cache.directory() else "off"
    yield "frameworks", ", ".join(_versions(FRAMEWORKS)) or "none"
    yield "built on", ", ".join(_versions(("numpy", "llvmlite")))


def _versions(packages: tuple[str, ...]) -> Iterator[str]:
    """Yield "name version" for each package that is installed, without importing it."""
    for package in packages:
        try:
            yield f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue


def _measure(cases: dict[str, str], *, typed: tuple[str, ...], layout: str | None, seconds: float) -> "Report":
    """Measure the cases; what faltung refuses of a suite is reported, what it refuses of the user's own is an error."""
    from faltung.bench import machine, run
    from faltung.bench.report import Report

    report = Report(machine.measure())
    for name, text in _progress(list(cases.items()), "Measuring"):
        try:
            report.measured[name] = run.measure(text, layout=layout, seconds=seconds)
        except CodegenError as error:
            report.wrong[name] = _one_line(error)
        except (ShapeError, UnsupportedConvError) as error:
            if name in typed:
                raise
            report.refused[name] = _one_line(error)
    return report


def _demo_table(results: "list[Result]") -> "Table":
    """Return what the programs computed and how fast."""
    from rich.table import Table

    table = Table(show_lines=True)
    for heading in ("what was computed", "spec"):
        table.add_column(heading, overflow="fold", ratio=1)
    for heading in ("a warm call", "rate"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        call = result.call
        table.add_row(
            result.sentence, call.spec.to_text(), f"{call.seconds * 1e6:,.0f} µs", f"{call.gflops:.1f} GFLOP/s"
        )
    return table
