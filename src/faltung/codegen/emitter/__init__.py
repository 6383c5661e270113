"""The words that kernels are written in; only the files of this package know llvmlite.ir.

A Python int is known when the kernel is emitted, an IR value when it runs; `Int` is either. Each file has one subject:
values (integers and their folding), control (functions, loops, conditions), vectors, memory (buffers, loads, stores,
masks, arrays on the stack) and threads (atomics, waiting, floating-point control).
"""

from faltung.codegen.emitter.base import POINTER, VOID, Int, Value
from faltung.codegen.emitter.control import Forever
from faltung.codegen.emitter.memory import Buffer, Mask, Memory
from faltung.codegen.emitter.threads import Threads
from faltung.codegen.emitter.values import Variable

__all__ = ["POINTER", "VOID", "Buffer", "Emitter", "Forever", "Int", "Mask", "Value", "Variable"]


class Emitter(Memory, Threads):
    """A module under construction: functions, named loops, addresses and vectors for one target and element type."""
