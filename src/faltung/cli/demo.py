"""`faltung demo`: two networks that learn from real data, or three programs on arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faltung.cli.console import Failure, console, progress

if TYPE_CHECKING:
    from rich.table import Table

    from faltung.demo.program import DemoResult


@click.command()
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
    with Progress(console=watching, transient=True, disable=not watching.is_terminal) as bar:
        task = bar.add_task("Starting", total=None)

        def start(rounds: int) -> Callable[[str], None]:
            bar.update(task, total=rounds)
            return lambda text: bar.update(task, advance=1, description=text)

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
    results = [run(out) for run in progress(list(PROGRAMS.values()), "Convolving real data")]
    console().print(_demo_table(results))
    click.echo(f"The pictures are in {out}: {', '.join(result.picture.name for result in results)}")


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
