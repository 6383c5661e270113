"""The command line. Each command imports what it needs when it runs, so that `faltung --help` stays quick."""

from typing import Any

import click

from faltung.cli.bench import bench
from faltung.cli.cache import cache
from faltung.cli.compile import compile_
from faltung.cli.console import Failure, one_line
from faltung.cli.demo import demo
from faltung.cli.info import info
from faltung.cli.models import doctor, explain, show
from faltung.cli.stream import stream
from faltung.cli.tune import tune
from faltung.errors import FaltungError


class Commands(click.Group):
    """The commands; an error that faltung raises on purpose becomes one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except FaltungError as error:
            raise Failure(one_line(error)) from error


@click.group(cls=Commands)
@click.version_option(package_name="faltung")
def main() -> None:
    """A convolution compiler: a kernel for exactly your convolution, on exactly this processor."""


for command in (info, bench, cache, compile_, tune, demo, doctor, explain, show, stream):
    main.add_command(command)
