"""Peers that do what real ones do now and then; workers import this file by its name."""

import os
import signal
import time
from typing import Any, ClassVar

from faltung import reference
from faltung.bench.peers.peer import Call, Peer, Work, refuse


class Right(Peer):
    """The reference itself."""

    packages: ClassVar[tuple[str, ...]] = ("numpy",)

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, work: Work) -> Call:
        def call() -> Any:
            return reference.conv(work.x, work.kernel, work.bias, spec=work.spec).astype(work.spec.dtype)

        return call


class ChannelsFirst(Right):
    """The reference, channels first."""

    layout, kernel_layout = "ncw", "OIW"


class Talks(Right):
    """Prints where the answers go."""

    def prepare(self, work: Work) -> Call:
        os.write(1, b"noise\n")
        os.write(2, b"noise\n")
        return super().prepare(work)


class Wrong(Right):
    """Off by a little in one place; a second call would end the process."""

    def prepare(self, work: Work) -> Call:
        right, calls = super().prepare(work), []

        def call() -> Any:
            calls.append(1)
            if len(calls) > 1:
                os._exit(3)
            y = right()
            y.flat[-1] += 0.01
            return y

        return call


class WrongShape(Right):
    """Forgets the last output."""

    def prepare(self, work: Work) -> Call:
        right = super().prepare(work)
        return lambda: right()[..., :-1]


class Fails(Right):
    """Raises for strided convolutions."""

    def prepare(self, work: Work) -> Call:
        if work.spec.stride != (1,) * work.spec.rank:
            raise RuntimeError("no strides today\nsecond line")
        return super().prepare(work)


class Refuses(Right):
    """Says what it cannot do."""

    def prepare(self, work: Work) -> Call:
        raise refuse("not on a Sunday")


class Crashes(Right):
    """Dies of a segmentation fault on strided convolutions."""

    def prepare(self, work: Work) -> Call:
        if work.spec.stride != (1,) * work.spec.rank:
            os.write(2, b"about to fall\n")
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().prepare(work)


class Hangs(Right):
    """Never answers on strided convolutions."""

    def prepare(self, work: Work) -> Call:
        if work.spec.stride != (1,) * work.spec.rank:
            time.sleep(1000)
        return super().prepare(work)


class CrashesLater(Right):
    """Dies while it is timed."""

    def prepare(self, work: Work) -> Call:
        right, calls = super().prepare(work), []

        def call() -> Any:
            calls.append(1)
            if len(calls) > 3:
                os._exit(7)
            return right()

        return call


class Missing(Right):
    """Needs a library that no one has."""

    def __init__(self, threads: int) -> None:
        import no_such_library  # type: ignore[import-not-found]  # noqa: F401
