"""The command line. Each command imports what it needs when it runs, so that `faltung --help` stays quick."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import faltung as ft
from faltung.bench.peers import PEERS
from faltung.bench.suite import LAYOUTS, SUITES, load
from faltung.errors import CodegenError, FaltungError, ShapeError, UnsupportedConvError
from faltung.spec import read_cases

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from faltung.bench.report import BenchReport
    from faltung.demo.program import DemoResult

T = TypeVar("T")
OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
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
@click.option("--suite", type=click.Choice(SUITES), multiple=True, help="The cases of a suite; may be repeated.")
@click.option("--cases", "case_file", type=EXISTING_FILE, help='A file with a case in each line: "name: TEXT".')
@click.option("--peers", help='Compare with peers: "all", or some of ' + ", ".join(PEERS) + ".")
@click.option(
    "--mode", type=click.Choice(["forward", "training"]), help="Training: forward and both gradients. Compares."
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
    default=0.5,
    show_default=True,
    help="Time spent on each case, by each peer.",
)
@click.option("--json", "json_file", type=OUTPUT_FILE, help="Write everything measured here.")
@click.option("--markdown", "markdown_file", type=OUTPUT_FILE, help="Write a report here. Compares.")
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
    peers: str | None,
    mode: str | None,
    layout: str | None,
    threads: int | None,
    seconds: float,
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
    """
    cases = {text: text for text in texts}
    for name in suite:
        cases |= load(name)
    if case_file:
        cases |= read_cases(case_file.read_text(encoding="utf-8"))
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
        files = (json_file, markdown_file, report, against)
        _compare(cases, texts, files, peers=peers, mode=mode, layout=layout, threads=threads, seconds=seconds)
        return
    if threads is not None:
        ft.set_num_threads(threads)
    measured = _measure(cases, typed=texts, layout=layout, seconds=seconds)
    _console().print(measured.table())
    for name, reason in measured.refused.items():
        click.echo(f"not measured: {name}: {reason}")
    for name, reason in measured.wrong.items():
        click.echo(f"WRONG: {name}: {reason}")
    if json_file:
        json_file.write_text(json.dumps(measured.to_dict(), indent=1) + "\n", encoding="utf-8")
    if measured.wrong:
        raise Failure(f"wrong numbers: {', '.join(measured.wrong)}")


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="faltung-demo",
    show_default=True,
    help="Where the pictures and the report go.",
)
@click.option("--programs", is_flag=True, help="Run the three short programs on NumPy arrays instead.")
def demo(out: Path, programs: bool) -> None:
    """Let Keras learn two classifiers from real data, by its own layers and by faltung's, side by side.

    On JAX, or on the backend that KERAS_BACKEND or keras.json says.
    """
    if programs:
        _run_programs(out)
        return
    from rich.console import Console
    from rich.progress import Progress

    from faltung.demo import backend

    backend.choose()
    try:
        from faltung.demo import main_job
    except ModuleNotFoundError as error:
        raise _needed(error, "keras") from error
    watching = Console(stderr=True)
    with Progress(console=watching, transient=True, disable=not watching.is_terminal) as progress:
        task = progress.add_task("Starting", total=None)

        def start(rounds: int) -> Callable[[str], None]:
            progress.update(task, total=rounds)
            return lambda text: progress.update(task, advance=1, description=text)

        try:
            printed = list(main_job.run(out, start))
        except ModuleNotFoundError as error:
            raise _needed(error, "keras") from error
    for text in printed:
        click.echo(text)


def _needed(error: ModuleNotFoundError, extra: str) -> Failure:
    """Return what to install, where a package is missing that the demo needs."""
    name = (error.name or "").split(".")[0]
    if name not in ("keras", "jax", "jaxlib", "torch", "tensorflow", "matplotlib", "pywt", "seglearn", "sklearn"):
        raise error
    return Failure(f'The demo needs {name}: pip install "faltung[{extra}]"')


def _run_programs(out: Path) -> None:
    try:
        from faltung.demo.programs import PROGRAMS
    except ModuleNotFoundError as error:
        raise _needed(error, "demo") from error
    results = [run(out) for run in _progress(list(PROGRAMS.values()), "Convolving real data")]
    _console().print(_demo_table(results))
    click.echo(f"The pictures are in {out}: {', '.join(result.picture.name for result in results)}")


@main.command()
@click.option("--show", "is_shown", is_flag=True, help="Only show the prices in force.")
@click.option("--reset", is_flag=True, help="Only forget this processor's own prices.")
@click.option("--seconds", default=0.06, show_default=True, help="How long each convolution is measured, in a round.")
@click.option("--out", type=OUTPUT_FILE, help="Write the table there instead.")
@click.option("--measurements", "kept", type=OUTPUT_FILE, help="Write what was measured there, too.")
def tune(is_shown: bool, reset: bool, seconds: float, out: Path | None, kept: Path | None) -> None:
    """Fit the prices by which algorithms are chosen to this processor; takes minutes.

    Measures each algorithm on some hundred convolutions and keeps the table beside the cache of compiled kernels;
    calls of other processes use it from their start on.
    """
    from faltung.bench import measurements, tune
    from faltung.machine import tables
    from faltung.runtime import processor

    target = processor.current()
    console = _console()
    if is_shown:
        console.print(tune.table(target.costs))
        return
    path = out or tune.own_table(target)
    if reset:
        is_kept = path.is_file()
        path.unlink(missing_ok=True)
        console.print(f"{'Removed' if is_kept else 'There was no table at'} {path}", soft_wrap=True)
        return
    tuned = tune.tune(target, _progress, seconds=seconds)
    tables.write(path, tuned.costs)
    if kept:
        measurements.write(kept, tuned.measured)
    console.print(
        f"{tuned.now:.1%} of {len(tuned.measured)} choices are within 10 % of the quickest algorithm, "
        f"{tuned.before:.1%} before. Kept in {path}",
        soft_wrap=True,
    )


@main.command()
@click.argument("model")
@click.argument("data")
@click.option("--fix", "fixed_file", type=OUTPUT_FILE, help="Write the mended data here, as .npy.")
def doctor(model: str, data: str, fixed_file: Path | None) -> None:
    """Say why MODEL refuses DATA and what to change; exit with 1 if it does.

    MODEL: a .keras or .onnx file, module:object, file.py:object, or a spec's TEXT. DATA: a shape such as 8x128x64, or a
    file (.npy, .npz, .csv, .wav, an image).
    """
    import numpy as np

    from faltung.diagnosis import diagnose
    from faltung.models.load import load

    found = diagnose(load(model), data)
    click.echo(str(found))
    if fixed_file is not None and not found.ok:
        if not Path(data).exists():
            raise Failure(f"--fix needs a data file; got the shape {data}.")
        np.save(fixed_file, found.apply(data))
        click.echo(f"Wrote x {found.fixed_shape} to {fixed_file}.")
    if not found.ok:
        sys.exit(1)


@main.command()
@click.argument("model")
@click.argument("shape", required=False)
def explain(model: str, shape: str | None) -> None:
    """Say what a convolution, or each layer of a model, does to an input of SHAPE.

    MODEL: as for doctor. SHAPE may be left out where the model declares it.
    """
    from faltung.explanation import explain
    from faltung.models.load import load

    click.echo(str(explain(load(model), shape)))


@main.command()
@click.argument("model")
@click.argument("data", required=False)
@click.option("--out", type=OUTPUT_FILE, default="page.html", show_default=True, help="Where the page is written.")
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Which of the batch.")
@click.option("--names", help="Names of the spatial axes, such as time or height,width.")
@click.option("--png", "png_file", type=OUTPUT_FILE, help="Draw the middle step here; needs matplotlib.")
@click.option("--svg", "svg_file", type=OUTPUT_FILE, help="The same as SVG.")
@click.option("--gif", "gif_file", type=OUTPUT_FILE, help="The window as it slides; needs Pillow too.")
def show(
    model: str,
    data: str | None,
    out: Path,
    sample: int,
    names: str | None,
    png_file: Path | None,
    svg_file: Path | None,
    gif_file: Path | None,
) -> None:
    """Write a page on which the kernel of MODEL slides over DATA, or a model's receptive field is traced back.

    MODEL: as for doctor, or the TEXT of a transposed convolution, "conv1d_transpose n1 w8 ic1 oc1 kw3 sw2". DATA: a
    shape or a file; left out, the numbers are made up.
    """
    from faltung.models.load import load
    from faltung.pages import show

    found = model if model.startswith("conv") and not Path(model).suffix else load(model)
    page = show(found, data, out, sample=sample, names=names.split(",") if names else ())
    click.echo(f"{page.title}: {out}")
    for file, save in ((png_file, page.save_png), (svg_file, page.save_svg), (gif_file, page.save_gif)):
        if file is not None:
            click.echo(f"{save(file)}")


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


def _measure(cases: dict[str, str], *, typed: tuple[str, ...], layout: str | None, seconds: float) -> "BenchReport":
    """Measure the cases; what faltung refuses of a suite is reported, what it refuses of the user's own is an error."""
    from faltung.bench import machine, run

    report = BenchReport(machine.measure())
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


def _count_choices(
    cases: dict[str, str], *, typed: tuple[str, ...], layout: str | None, threads: int | None, seconds: float
) -> None:
    """Time all algorithms of each case; what faltung refuses of a suite is told, of the user's own it is an error."""
    from faltung.bench.choices import NEAR, measure_choice, share_near_best, table

    if threads is not None:
        ft.set_num_threads(threads)
    measured = []
    for name, text in _progress(list(cases.items()), "Measuring"):
        try:
            choice = measure_choice(name, text, layout=layout, seconds=seconds)
        except (ShapeError, UnsupportedConvError) as error:
            if name in typed:
                raise
            click.echo(f"not measured: {name}: {_one_line(error)}")
        else:
            if choice.has_others:
                measured.append(choice)
    if not measured:
        click.echo("No case has more than one algorithm.")
        return
    misses = table(measured)
    if misses.row_count:
        _console().print(misses)
    near = f"{share_near_best(measured):.1%} of {len(measured)}"
    click.echo(f"{near} choices take at most {NEAR:g} times as long as the best algorithm.")


def _compare(cases: dict[str, str], typed: tuple[str, ...], files: tuple[Path | None, ...], **options: Any) -> None:
    """Compare side by side; exit with 2 if numbers of ours are wrong, with 1 if only times became worse."""
    from rich.console import Console
    from rich.progress import Progress

    from faltung.bench.case import read_case
    from faltung.bench.command import Files, side_by_side

    for text in typed:
        read_case(text)
    watching = Console(stderr=True)
    with Progress(console=watching, transient=True, disable=not watching.is_terminal) as progress:
        task = progress.add_task("Starting the peers", total=len(cases) or None)
        told: list[str] = []

        def tell(name: str) -> None:
            progress.update(task, completed=len(told), description=name)
            told.append(name)

        troubles = side_by_side(cases, Files(*files), _console(), tell, **options)
    for trouble in troubles:
        click.echo(trouble, err=True)
    if troubles:
        sys.exit(2 if any(trouble.startswith("wrong") for trouble in troubles) else 1)


def _demo_table(results: "list[DemoResult]") -> "Table":
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
