"""What all commands share: the console, a progress bar, files, and errors of one line."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from faltung.errors import FaltungError

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Failure(click.ClickException):
    """One line on stderr and exit code 2."""

    exit_code = 2


def one_line(error: FaltungError) -> str:
    """Return the text of an error without its line breaks."""
    return " ".join(str(error).split())


def console() -> "Console":
    """Return the console for results; into a file or a pipe, lines have 120 columns."""
    from rich.console import Console

    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=120 if is_free else None, highlight=False)


def progress(steps: list[T], title: str) -> Iterable[T]:
    """Yield the steps, under a progress bar where someone is watching."""
    from rich.console import Console
    from rich.progress import track

    watching = Console(stderr=True)
    return track(steps, title, console=watching, transient=True, disable=not watching.is_terminal)


@contextmanager
def telling(title: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Give a function that names the next of so many steps, under a progress bar where someone is watching."""
    from rich.console import Console
    from rich.progress import Progress

    watching = Console(stderr=True)
    with Progress(console=watching, transient=True, disable=not watching.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        told: list[str] = []

        def tell(name: str) -> None:
            bar.update(task, completed=len(told), description=name)
            told.append(name)

        yield tell
