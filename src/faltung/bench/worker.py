"""The process of a worker: python -m faltung.bench.worker DESCRIPTOR. It answers what Worker.ask asks."""

import ctypes
import importlib
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from faltung.bench.check import Wrong
from faltung.errors import FaltungError, UnsupportedConvError

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def serve(connection: Connection) -> None:
    """Make the object that the first message names, then answer until the other side is gone."""
    place, arguments, processors = connection.recv()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)
    module, _, name = place.partition(":")
    trouble, served = None, None
    try:
        served = getattr(importlib.import_module(module), name)(*arguments)
    except Exception as error:
        trouble = answer_of(error)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        if trouble is None:
            try:
                answer = "ok", getattr(served, method)(*arguments)
            except Exception as error:
                answer = answer_of(error)
        connection.send(trouble or answer)


def answer_of(error: Exception) -> tuple[str, str]:
    """Return a status and one line for an error."""
    text = str(error).strip()
    if isinstance(error, ModuleNotFoundError):
        return "not installed", text
    if isinstance(error, Wrong):
        return "wrong", text
    if isinstance(error, UnsupportedConvError):
        return "unsupported", " ".join(text.split())
    if isinstance(error, FaltungError):
        return "failed", " ".join(text.split())
    first = text.splitlines()[0] if text else ""
    return "failed", f"{type(error).__name__}: {first}"


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        with suppress(OSError):  # where memory runs out, it is a worker that must go
            Path("/proc/self/oom_score_adj").write_text("1000")
    serve(Connection(int(sys.argv[1])))
