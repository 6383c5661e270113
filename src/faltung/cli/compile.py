"""`faltung compile`: a whole network, planned and compiled."""

from pathlib import Path

import click

from faltung.cli.console import OUTPUT_FILE, Failure, console


@click.command(name="compile")
@click.argument("model")
@click.option("--example", help="The shape of an input, such as 1x3x100; several are separated by commas.")
@click.option("--save", "file", type=OUTPUT_FILE, help="Write the network there, for ft.load.")
def compile_(model: str, example: str | None, file: Path | None) -> None:
    """Compile MODEL into one native call and say what each step does.

    MODEL: a .keras or .onnx file, module:object or file.py:object.
    """
    import faltung as ft
    from faltung.graph.network import Network
    from faltung.models.load import load

    shapes = None
    if example is not None:
        try:
            shapes = [tuple(int(size) for size in shape.split("x")) for shape in example.split(",")]
        except ValueError:
            raise Failure(f"--example must be a shape such as 1x3x100; got {example!r}.") from None
    shown = console()
    with shown.status("compiling"):
        found = load(model)
        net = ft.compile(found, shapes[0] if shapes and len(shapes) == 1 else shapes)
        if not isinstance(net, Network):
            raise Failure(f"{model} is a single convolution; `faltung explain` tells about it.")
        text = net.explain()
    click.echo(text)
    if file is not None:
        net.save(file)
        click.echo(f"Wrote the network to {file}.")
