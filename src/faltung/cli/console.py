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


def example_of(text: str | None) -> "tuple[int, ...] | list[tuple[int, ...]] | None":
    """The shapes that --example gives, "1x3x100,1x8"; of one input the shape itself."""
    if text is None:
        return None
    try:
        first, *others = [tuple(int(size) for size in shape.split("x") if size) for shape in text.split(",")]
    except ValueError:
        raise Failure(f"--example must be a shape such as 1x3x100; got {text!r}.") from None
    return [first, *others] if others else first


def exit_for(troubles: list[str]) -> None:
    """Say what is wrong and exit with 2 if it is numbers, with 1 if it is only times."""
    for trouble in troubles:
        click.echo(trouble, err=True)
    if troubles:
        sys.exit(2 if any(trouble.startswith("wrong") for trouble in troubles) else 1)


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
