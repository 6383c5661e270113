"""`faltung info`: the machine, the cache, and what is installed."""

from collections.abc import Iterator
from importlib import metadata

import click

from faltung.cli.console import console

FRAMEWORKS = ("torch", "keras", "jax", "tensorflow", "tensorflow-cpu")


@click.command()
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
    console().print(table)


def _facts() -> Iterator[tuple[str, str]]:
    """Yield the rows of `faltung info`."""
    from faltung.bench import machine as machines
    from faltung.bench.report import busy_note
    from faltung.runtime import cache, processor

    machine = machines.measure()
    yield "faltung", metadata.version("faltung")
    yield "processor", machine.processor
    yield "target", f"{machine.target}, vectors of {machine.vector_bits} bits"
    yield "threads", str(machine.threads)
    costs = processor.current().costs
    yield "prices", f"of {costs.family}: {costs.origin}"
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
