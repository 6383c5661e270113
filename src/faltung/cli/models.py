"""`faltung doctor`, `explain` and `show`: a layer or a model, and data for it."""

import sys
from pathlib import Path

import click

from faltung.cli.console import OUTPUT_FILE, Failure


@click.command()
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


@click.command()
@click.argument("model")
@click.argument("shape", required=False)
def explain(model: str, shape: str | None) -> None:
    """Say what a convolution, or each layer of a model, does to an input of SHAPE.

    MODEL: as for doctor. SHAPE may be left out where the model declares it.
    """
    from faltung.explanation import explain
    from faltung.models.load import load

    click.echo(str(explain(load(model), shape)))


@click.command()
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
