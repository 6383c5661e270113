"""`faltung tune`: the prices by which algorithms are chosen."""

from pathlib import Path

import click

from faltung.cli.console import OUTPUT_FILE, console, progress


@click.command()
@click.option("--show", "is_shown", is_flag=True, help="Only show the prices in force.")
@click.option("--reset", is_flag=True, help="Only forget this processor's own prices.")
@click.option("--seconds", default=0.1, show_default=True, help="How long each convolution is measured.")
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

    target, shown = processor.current(), console()
    if is_shown:
        shown.print(tune.table(target.costs))
        return
    path = out or tune.own_table(target)
    if reset:
        is_kept = path.is_file()
        path.unlink(missing_ok=True)
        shown.print(f"{'Removed' if is_kept else 'There was no table at'} {path}", soft_wrap=True)
        return
    tuned = tune.tune(target, progress, seconds=seconds)
    tables.write(path, tuned.costs)
    if kept:
        measurements.write(kept, tuned.measured)
    shown.print(
        f"{tuned.now:.1%} of {tuned.num_choices} choices are within 10 % of the quickest algorithm, "
        f"{tuned.before:.1%} before. Kept in {path}",
        soft_wrap=True,
    )
