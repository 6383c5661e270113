"""A worker: one object in a process of its own, which runs only while it is asked something.

Thread pools that wait by spinning disturb each other. A worker that is not asked is therefore stopped (SIGSTOP): it
takes no time, and it goes on with all its threads as they were. What it prints goes nowhere; a crash or a hang is an
answer.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Pipe
from typing import IO, Any

ANSWER_SECONDS = 180.0
"""A worker that takes longer is killed."""


class Trouble(Exception):
    """No answer: `status` is one word, `reason` one line."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status, self.reason = status, reason


class Worker:
    """An object of the class at `place` ("module:Class"), made as Class(*arguments) in a process of its own.

    The process may run on `processors` only. It is started at once, and again when it is asked after its end.
    """

    def __init__(self, place: str, arguments: tuple[Any, ...], processors: list[int]) -> None:
        self._arguments = (place, arguments, processors)
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def ask(self, method: str, *arguments: Any, seconds: float = ANSWER_SECONDS) -> Any:
        """Return what a method of the object returns.

        Raises:
            Trouble: if it raises (with the error's first line), or the process ends or does not answer in time.
        """
        if self._process is None:
            self._start()
        try:
            self._signal(signal.SIGCONT)
            self._connection.send((method, arguments))
            if not self._connection.poll(seconds):
                self.close()
                raise Trouble("hung", f"no answer within {seconds:g} s")
            status, answer = self._connection.recv()
            self._signal(signal.SIGSTOP)
        except (EOFError, OSError):
            raise Trouble("crashed", self._epitaph()) from None
        if status != "ok":
            raise Trouble(status, answer)
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._signal(signal.SIGKILL)
            self._process.wait()
            self._connection.close()
            self._stderr.close()
            self._process = None

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close()
        program = [sys.executable, "-P", "-m", "faltung.bench.worker", str(theirs.fileno())]
        self._process = subprocess.Popen(
            program,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            env=os.environ | _thread_settings(len(self._arguments[2])),
            process_group=0,  # signals reach what it starts, too; the terminal's do not reach it
        )
        theirs.close()
        with contextlib.suppress(OSError):
            self._connection.send(self._arguments)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def _epitaph(self) -> str:
        """How the process ended, and the last line it wrote."""
        assert self._process is not None
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self.close()
        end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{end}: {last}" if last else end


def _thread_settings(threads: int) -> dict[str, str]:
    """The environment that the usual thread pools take their size from."""
    names = ("OMP", "MKL", "OPENBLAS", "FALTUNG")
    return {f"{name}_NUM_THREADS": str(threads) for name in names} | {
        "NPROC": str(threads),  # XLA
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
