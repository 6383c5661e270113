"""What runs a network: a framework or a runtime, called as its users call it, in a process of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from faltung.bench.networks.network import Network

Array = NDArray[Any]
Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Work:
    """A network, the arrays to run it on, and its ONNX file, or why there is none."""

    network: Network
    inputs: Mapping[str, Array]
    onnx_file: str = ""
    refusal: str = ""


class Peer(ABC):
    """One way to run networks. The first line of its docstring describes it in reports.

    A subclass imports its library in `__init__`, so that one that is not installed is found there, and gives it
    `threads` threads. `hosts` are the frameworks whose networks it runs.
    """

    hosts: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions go into the report."""

    @abstractmethod
    def __init__(self, threads: int) -> None: ...

    @abstractmethod
    def prepare(self, work: Work) -> Call:
        """Return what is timed; called, it returns what the network does."""


def arrays_of(result: Any) -> list[Array]:
    """Return the arrays of a result: of one, or of all in a list, a tuple or a dictionary."""
    if isinstance(result, Mapping):
        result = list(result.values())
    results = result if isinstance(result, list | tuple) else [result]
    return [np.asarray(part.detach() if hasattr(part, "detach") else part) for part in results]
