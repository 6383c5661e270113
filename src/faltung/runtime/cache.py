"""Object code kept on disk: private to the user, checked before use, never half written, bounded.

Loaded object code is executed, so the directory is used only when it belongs to this user and nobody else can reach
it. A file that is damaged or foreign is ignored, and rewritten when its program is compiled again. Nothing that goes
wrong here stops a convolution: it is logged once, and the program is compiled.
"""

import hashlib
import logging
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from faltung.errors import FaltungError

MAGIC = b"faltung object 1\n"
SUFFIX, UNFINISHED = ".faltung", ".unfinished"
MOST_BYTES = 256 << 20
"""What may be kept, unless FALTUNG_CACHE_MB says otherwise: several thousand programs."""
ABANDONED_SECONDS = 3600.0
"""After so long, who began to write a file is gone."""
_PACKAGE = Path(__file__).parents[1]
_bytes_to_look: int | None = None
"""What this process may still write before it looks at the size of all; None: it has not looked yet."""
log = logging.getLogger("faltung")


def directory() -> Path | None:
    """Where object code is kept (FALTUNG_CACHE_DIR, else the user's cache directory), or None if it may not be used.

    An empty FALTUNG_CACHE_DIR turns the cache off.
    """
    wanted = os.environ.get("FALTUNG_CACHE_DIR")
    if wanted == "":
        return None
    try:
        path = Path(wanted).expanduser() if wanted else _user_cache() / "faltung"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if _is_private(path) else None
    except (OSError, RuntimeError) as error:  # a RuntimeError where a home is unknown
        _warn_once(f"object code is not kept: {error}")
        return None


def _user_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _is_private(path: Path) -> bool:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        _warn_once(f"object code is not kept: {path} must be a directory of yours with mode 700")
        return False
    return True


@cache
def _warn_once(text: str) -> None:
    log.warning(text)


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
    file = place / (key + SUFFIX)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn_once(f"object code is not read: {error}")
        return None
    head = len(MAGIC) + 32
    body = content[head:]
    if content[:head] != _head(key, body):
        log.warning("object code is damaged or foreign, and compiled again: %s", file)
        return None
    with suppress(OSError):
        os.utime(file)  # what was not used for long goes first
    return body


def keep(key: str, body: bytes) -> None:
    """Write object code under `key`: to a temporary file first, then renamed, so that nobody reads half a file."""
    global _bytes_to_look
    place = directory()
    if place is None:
        return
    try:
        handle, name = tempfile.mkstemp(UNFINISHED, dir=place)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head(key, body) + body)
            os.replace(name, place / (key + SUFFIX))
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise
        if _bytes_to_look is None or _bytes_to_look < len(body):
            _trim(most_bytes())
            _bytes_to_look = most_bytes() // 16
        _bytes_to_look -= len(body)
    except OSError as error:
        _warn_once(f"object code is not kept: {error}")


@cache
def most_bytes() -> int:
    """What may be kept: FALTUNG_CACHE_MB (of 2**20 bytes), else MOST_BYTES; each process may add a sixteenth."""
    wanted = os.environ.get("FALTUNG_CACHE_MB", "")
    if wanted and not wanted.isdecimal():
        raise FaltungError(f"FALTUNG_CACHE_MB: must be a number of MiB, 0 or more; got {wanted!r}. Use 256.")
    return int(wanted) << 20 if wanted else MOST_BYTES


def _trim(most: int) -> None:
    """Remove what was used longest ago, as far as more than `most` bytes are kept, and what nobody will finish."""
    used = sorted((status.st_mtime, status.st_size, file) for file, status in _files())
    total = sum(size for _, size, _ in used)
    for _, size, file in used:
        if total <= most:
            break
        file.unlink(missing_ok=True)
        total -= size
    for file, status in _files(UNFINISHED):
        if status.st_mtime < time.time() - ABANDONED_SECONDS:
            file.unlink(missing_ok=True)


def size() -> tuple[int, int]:
    """Number of programs kept, and their bytes."""
    sizes = [status.st_size for _, status in _files()]
    return len(sizes), sum(sizes)


def clear() -> int:
    """Remove all programs kept; returns how many there were."""
    files = [file for file, _ in _files()]
    for file in (*files, *(file for file, _ in _files(UNFINISHED))):
        file.unlink(missing_ok=True)
    return len(files)


def _files(suffix: str = SUFFIX) -> Iterator[tuple[Path, os.stat_result]]:
    """The files with their sizes and times; another process may remove them meanwhile."""
    place = directory()
    for file in place.glob(f"*{suffix}") if place else ():
        with suppress(FileNotFoundError):
            yield file, file.stat()
