"""`faltung stream`: a model listens to a file as if it were live."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from faltung.cli.console import EXISTING_FILE, Failure, example_of

if TYPE_CHECKING:
    from faltung.streams.stream import Stream


@click.command()
@click.argument("model")
@click.option(
    "--csv", "csv_file", type=EXISTING_FILE, help="A signal: a line for each step, a column for each channel."
)
@click.option("--wav", "wav_file", type=EXISTING_FILE, help="A signal: a recording.")
@click.option("--chunk", type=click.IntRange(min=1), default=64, show_default=True, help="Steps in a chunk.")
@click.option("--example", help="The shape of an input, such as 1x3x1000, where MODEL does not tell.")
@click.option("--axis", type=int, help="The axis of an input that is time.")
@click.option("--sample-rate", type=float, help="Steps in a second; a recording tells its own.")
def stream(
    model: str,
    csv_file: Path | None,
    wav_file: Path | None,
    chunk: int,
    example: str | None,
    axis: int | None,
    sample_rate: float | None,
) -> None:
    """Run MODEL chunk by chunk over a signal, and say how late and how long each chunk is.

    MODEL: a .keras or .onnx file, a network that faltung saved (.npz), module:object or file.py:object. Without a file
    it only says what each layer does along time.
    """
    import faltung as ft
    from faltung.models.load import load

    if csv_file is not None and wav_file is not None:
        raise Failure("give --csv or --wav, not both.")
    found = ft.load(model) if model.endswith(".npz") else load(model)
    live = ft.stream(found, example_of(example), axis=axis)
    click.echo(live.explain())
    file = csv_file or wav_file
    if file is not None:
        _listen(live, _signal(live, file), chunk, sample_rate or (_rate_of(wav_file) if wav_file else None))


def _signal(live: "Stream", file: Path) -> Any:
    """The signal of a file in the shape of the network's input."""
    from faltung.models.files import read

    (name, *others), axes = live.graph.inputs, live.flows.axes
    shape = live.graph.shape(name)
    if others or len(shape) not in (2, 3):
        raise Failure(
            f"a file holds one signal of some channels; the network takes {list(live.graph.inputs)}, {shape}."
        )
    numbers = np.asarray(read(file), np.float32)
    steps = numbers.reshape(len(numbers), -1)
    x = np.moveaxis(steps[None], 1, axes[name]) if len(shape) == 3 else steps[None, :, 0]
    wanted = tuple(x.shape[n] if n == axes[name] else size for n, size in enumerate(shape))
    if x.shape != wanted or (len(shape) == 2 and steps.shape[1] != 1):
        raise Failure(f"{file} has {steps.shape[1]} channels; the network takes {shape}, axis {axes[name]} is time.")
    return np.ascontiguousarray(x)


def _rate_of(file: Path) -> float:
    import wave

    with wave.open(str(file)) as recording:
        return float(recording.getframerate())


def _listen(live: "Stream", x: Any, chunk: int, sample_rate: float | None) -> None:
    """Time every chunk of a signal, on the second run: the first plans."""
    axis = live.flows.axes[next(iter(live.graph.inputs))]
    chunks = np.split(x, range(chunk, x.shape[axis], chunk), axis)
    seconds: list[float] = []
    for _ in range(2):
        live.reset()
        seconds.clear()
        for part in chunks:
            start = perf_counter()
            live(part)
            seconds.append(perf_counter() - start)
        live.flush()
    middle, slow = np.quantile(seconds, [0.5, 0.999]) * 1e6
    click.echo(f"{len(chunks):,} chunks of {chunk}: median {middle:.1f} µs, 99.9 % within {slow:.1f} µs")
    if sample_rate:
        share = sum(seconds) * sample_rate / x.shape[axis]
        latency = live.latency / sample_rate * 1e3
        click.echo(f"at {sample_rate:g} steps a second: real-time factor {share:.5f}, latency {latency:.1f} ms")
