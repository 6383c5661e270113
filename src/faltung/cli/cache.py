"""`faltung cache`: the compiled kernels kept on disk."""

import click


@click.group()
def cache() -> None:
    """Look at the compiled kernels kept on disk, or delete them."""


@cache.command()
def info() -> None:
    """Show where they are kept, how many there are, and the bound on their size."""
    from faltung.runtime import cache

    place = cache.directory()
    if place is None:
        click.echo("off")
        return
    files, size = cache.size()
    click.echo(f"{place}: {files} files, {size / 1e6:.1f} MB of at most {cache.most_bytes() / 1e6:.0f} MB")


@cache.command()
def clear() -> None:
    """Delete all of them; prices that `faltung tune` has fitted stay."""
    from faltung.runtime import cache

    click.echo(f"Deleted {cache.clear()} files.")
