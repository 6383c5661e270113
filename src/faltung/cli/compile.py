"""`faltung compile`: a whole network, planned and compiled."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from faltung.cli.console import OUTPUT_FILE, Failure, console, example_of, exit_for, telling

if TYPE_CHECKING:
    from rich.status import Status

    from faltung.graph.network import Network


@click.command(name="compile")
@click.argument("model")
@click.option("--example", help="The shape of an input, such as 1x3x100; several are separated by commas.")
@click.option("--bench", is_flag=True, help="Compare with the model's host, ONNX Runtime and OpenVINO.")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=0.5, show_default=True, help="For timing each.")
@click.option("--save", "file", type=OUTPUT_FILE, help="Write the network there, for ft.load.")
def compile_(model: str, example: str | None, bench: bool, seconds: float, file: Path | None) -> None:
    """Compile MODEL into one native call and say what each step does.

    MODEL: a .keras or .onnx file, module:object or file.py:object.

    With --bench it is called side by side with its host and the runtimes that are installed: each in a process of its
    own, in turns, on one thread and on all, and only where its numbers are right.
    """
    import faltung as ft
    from faltung.frontends.compile import reader_of
    from faltung.graph.network import Network
    from faltung.models.load import load

    with _watching():
        found = load(model)
        net = ft.compile(found, example_of(example))
        if not isinstance(net, Network):
            raise Failure(f"{model} is a single convolution; `faltung explain` tells about it.")
        text = net.explain()
    click.echo(text)
    if file is not None:
        net.save(file)
        click.echo(f"Wrote the network to {file}.")
    if bench:
        _compare(model, reader_of(found) or "", net, seconds)


def _compare(model: str, host: str, net: "Network", seconds: float) -> None:
    """Show the times of the others beside ours; exit with 2 if numbers of ours are wrong."""
    from faltung.bench.networks.command import one_model

    inputs = {name: (value.shape, value.dtype) for name, value in net.graph.inputs.items()}
    with telling("Starting", None) as tell:
        troubles = one_model(model, host, inputs, console(), tell, seconds=seconds)
    exit_for(troubles)


class _Programs(logging.Handler):
    """Counts the programs that the log tells of, under a spinner."""

    def __init__(self, status: "Status") -> None:
        super().__init__(logging.DEBUG)
        self._status, self._count = status, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Show how many there are, and what the last one took."""
        self._count += 1
        self._status.update(f"compiling: {self._count} kernels, the last {record.getMessage().partition(':')[0]}")


@contextmanager
def _watching() -> Iterator[None]:
    """Show progress where someone is watching, until the block ends."""
    from rich.console import Console

    watched = Console(stderr=True)
    if not watched.is_terminal:
        yield
        return
    log = logging.getLogger("faltung")
    level = log.level
    with watched.status("reading the model") as status:
        counts = _Programs(status)
        log.addHandler(counts)
        log.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            log.setLevel(level)
            log.removeHandler(counts)
