"""What all words of the emitter share: the module, the element type, the place where the next instruction goes."""

import copy
from collections.abc import Sequence
from typing import Any, Self, TypeAlias

from llvmlite import ir

from faltung.machine.target import Target
from faltung.spec.dtype import ITEM_BYTES

Value: TypeAlias = Any  # llvmlite carries no types; an ir.Value
Int: TypeAlias = Any  # a Python int or an i64

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()
VOID = ir.VoidType()
ELEMENTS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


class Base:
    """A module for one target and one element type."""

    def __init__(self, target: Target, dtype: str) -> None:
        self.module = ir.Module()
        self.module.triple = target.triple
        self.is_x86 = target.is_x86
        self.element = ELEMENTS[dtype]
        self.element_bytes = ITEM_BYTES[dtype]
        self._set_lanes(target.lanes(dtype))
        self.has_fma = target.has_fma
        self.has_masked_stores = target.has_masked_stores
        self.b: ir.IRBuilder
        self._splats: dict[tuple[str, str], Value] = {}

    def _set_lanes(self, lanes: int) -> None:
        self.lanes = lanes
        self.vector = ir.VectorType(self.element, lanes)
        self.bits = ir.VectorType(ir.IntType(8 * self.element_bytes), lanes)
        self._suffix = f"v{lanes}f{8 * self.element_bytes}"

    def widened(self, times: int) -> Self:
        """The same words, in the function that is open, about `times` vectors as one.

        Each becomes so many instructions, none of which waits for another.
        """
        wide = copy.copy(self)
        wide._set_lanes(times * self.lanes)
        return wide

    def _stack_slot(self, kind: ir.Type, name: str, count: int = 1) -> Value:
        with self.b.goto_entry_block():
            slot = self.b.alloca(kind, count, name)
        slot.type = POINTER  # llvmlite types it by its element, which would forbid vectors
        return slot

    def _intrinsic(self, name: str, returns: ir.Type, *parameters: ir.Type) -> ir.Function:
        # llvmlite's own declare_intrinsic refuses vectors
        return self._declared(name, returns, parameters)

    def _declared(self, name: str, returns: ir.Type, parameters: Sequence[ir.Type]) -> ir.Function:
        if name not in self.module.globals:
            ir.Function(self.module, ir.FunctionType(returns, parameters), name)
        return self.module.get_global(name)
