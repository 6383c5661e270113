"""`python -m faltung.fuzz`: calls until the time is up; every complaint as one line that shows it again."""

import sys
from random import Random

import click

from faltung.fuzz.run import complaints


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long.")
@click.option("--seed", default=0, show_default=True, help="Which calls; the same seed draws the same ones.")
def main(seconds: float, seed: int) -> None:
    """Call every function on NumPy arrays at random; exit with 1 if one neither is right nor says what is wrong."""
    found = 0
    for complaint, case in complaints(Random(seed), seconds):
        found += 1
        click.echo(f"{complaint}\n  {case.line()}")
    click.echo(f"{found} complaints.")
    sys.exit(min(found, 1))


if __name__ == "__main__":
    main()
