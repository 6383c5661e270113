"""Where and when results come from."""

import datetime
import subprocess
from pathlib import Path

import faltung


def date() -> str:
    """Return today, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def commit() -> str:
    """Return the commit of the checkout that faltung runs from, "+" if it was changed since; "" outside a checkout."""
    folder = Path(faltung.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # not a checkout of something else around us
        return _git(folder, "rev-parse", "--short=12", "HEAD") + ("+" if _git(folder, "status", "--short", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
