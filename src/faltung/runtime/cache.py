"""Object code kept on disk: private to the user, checked before use, never half written.

Loaded object code is executed, so the directory is used only when it belongs to this user and nobody else can reach
it. A file that is damaged or foreign is ignored, and rewritten when its program is compiled again.
"""

import hashlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

MAGIC = b"faltung object 1\n"
SUFFIX = ".faltung"
_PACKAGE = Path(__file__).parents[1]
log = logging.getLogger("faltung")


def directory() -> Path | None:
    """Where object code is kept (FALTUNG_CACHE_DIR, else the user's cache directory), or None if it may not be used.

    An empty FALTUNG_CACHE_DIR turns the cache off.
    """
    wanted = os.environ.get("FALTUNG_CACHE_DIR")
    if wanted == "":
        return None
    path = Path(wanted).expanduser() if wanted else _user_cache() / "faltung"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if _is_private(path) else None
    except OSError as error:
        log.warning("object code is not kept: %s", error)
        return None


def _user_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _is_private(path: Path) -> bool:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        log.warning("object code is not kept: %s must be a directory of yours with mode 700", path)
        return False
    return True


def key_of(*parts: object) -> str:
    """The name under which a program is kept: its description, the target and the generator that wrote it."""
    text = "\n".join(map(repr, (*parts, generator())))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


@cache
def generator() -> str:
    """Identifies the code generator: LLVM's version and a digest of the sources that emit programs."""
    import llvmlite

    digest = hashlib.sha256(llvmlite.__version__.encode())
    for package in ("machine", "plan", "codegen", "algorithms", "runtime"):
        for source in sorted(_PACKAGE.joinpath(package).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _head(key: str, body: bytes) -> bytes:
    """What a file begins with: it belongs to this key and this body only."""
    return MAGIC + hashlib.sha256(key.encode() + body).digest()


def load(key: str) -> bytes | None:
    """The object code kept under `key`, or None if there is none or it is not intact."""
    place = directory()
    if place is None:
        return None
    try:
        content = (place / (key + SUFFIX)).read_bytes()
    except OSError:
        return None
    head = len(MAGIC) + 32
    body = content[head:]
    return body if content[:head] == _head(key, body) else None


def keep(key: str, body: bytes) -> None:
    """Write object code under `key`: to a temporary file first, then renamed, so that nobody reads half a file."""
    place = directory()
    if place is None:
        return
    try:
        handle, name = tempfile.mkstemp(dir=place)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head(key, body) + body)
            os.replace(name, place / (key + SUFFIX))
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        log.warning("object code is not kept: %s", error)


def size() -> tuple[int, int]:
    """Number of programs kept, and their bytes."""
    sizes = [file.stat().st_size for file in _files()]
    return len(sizes), sum(sizes)


def clear() -> int:
    """Remove all programs kept; returns how many there were."""
    files = list(_files())
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def _files() -> Iterator[Path]:
    place = directory()
    yield from place.glob(f"*{SUFFIX}") if place else ()
