"""What a peer is: a library, called as its users call it, in a process of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from faltung.errors import UnsupportedConvError
from faltung.spec import ConvSpec

Array = NDArray[Any]
Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Work:
    """What a peer computes: arrays in the layouts of the spec, and the gradient of the output if it is to train."""

    spec: ConvSpec
    x: Array
    kernel: Array
    bias: Array | None
    dy: Array | None = None
    is_transposed: bool = False  # x has the shape of the spec's output, and the result that of its input

    @property
    def is_training(self) -> bool:
        """Whether both gradients are asked for, too."""
        return self.dy is not None


class Peer(ABC):
    """One way to compute convolutions. The first line of its docstring describes it in reports.

    A subclass imports its library in `__init__`, so that one that is not installed is found there, and gives it
    `threads` threads. `layout` and `kernel_layout` say how its users hold their data; `prepare` takes x in both
    layouts, and its call then contains what a user with such data must do.
    """

    layout: ClassVar[str] = "nwc"
    kernel_layout: ClassVar[str] = "WIO"
    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions go into the report."""

    transposes: ClassVar[bool] = False
    """Whether it takes part in cases of transposed convolutions."""

    @abstractmethod
    def __init__(self, threads: int) -> None: ...

    @abstractmethod
    def prepare(self, work: Work) -> Call:
        """Return what is timed; called, it returns y, or (y, dx, dkernel) where gradients are asked for.

        Raises:
            UnsupportedConvError: if the library cannot compute this.
        """

    def arrays(self, results: tuple[Any, ...], spec: ConvSpec) -> list[Array]:
        """Return results of the call as arrays in the layouts of the spec; axes of length 1 do not matter."""
        return [np.asarray(result) for result in results]

    def release(self) -> None:  # noqa: B027  # most have nothing to do
        """Give memory back that is kept for later calls; the case is over."""


def refuse(reason: str) -> UnsupportedConvError:
    """Return the error that names why a peer cannot compute something."""
    return UnsupportedConvError(reason)


def refuse_other_options(spec: ConvSpec, padding_modes: tuple[str, ...] = ("zeros",)) -> None:
    """Raise unless the activation is relu or none and the padding mode one of those given."""
    if spec.activation not in (None, "relu"):
        raise refuse(f"compared without activation or with relu; got {spec.activation}")
    if spec.padding_mode not in padding_modes:
        raise refuse(f"its convolution knows no padding mode {spec.padding_mode!r}")


def is_same_padding(spec: ConvSpec) -> bool:
    """Whether the padding is what "same" means in Keras and TensorFlow."""
    return spec.padding == spec.replace(padding="same").padding


def symmetric_padding(spec: ConvSpec) -> tuple[int, ...] | None:
    """Return the padding of each axis if it is the same at both ends."""
    lows = tuple(low for low, _ in spec.padding)
    return lows if all(low == high for low, high in spec.padding) else None
