"""What threads say to each other, and how each of them computes with denormal numbers."""

from faltung.codegen.emitter.base import I32, I64, POINTER, VOID, Int, Value
from faltung.codegen.emitter.values import Values

X86_DROPS_DENORMALS = 0x8040
"""Of MXCSR: flush to zero, and denormals are zeros (Intel SDM, volume 1, 10.2.3)."""
AARCH64_DROPS_DENORMALS = 1 << 24
"""Of FPCR: FZ (Arm ARM, C5.2.8)."""


class Threads(Values):
    """Numbers that several threads write, waiting, and the floating-point control of a thread."""

    def load_shared(self, pointer: Value, name: str = "") -> Value:
        """An i64 that other threads write; what they wrote before it is seen after it."""
        return self.b.load_atomic(pointer, "seq_cst", 8, name, typ=I64)

    def exchange(self, pointer: Value, value: Int) -> Value:
        return self.b.atomic_rmw("xchg", pointer, self.i64(value), "seq_cst")

    def add_shared(self, pointer: Value, value: Int) -> Value:
        return self.b.atomic_rmw("add", pointer, self.i64(value), "seq_cst")

    def replace_if_equal(self, pointer: Value, expected: Int, value: Int) -> Value:
        """Write `value` if `expected` still stands there; says whether it did."""
        pair = self.b.cmpxchg(pointer, self.i64(expected), self.i64(value), "seq_cst", "seq_cst")
        return self.b.extract_value(pair, 1)

    def pause(self) -> None:
        """Tell the processor that this thread only waits."""
        if self.is_x86:
            self.b.call(self._declared("llvm.x86.sse2.pause", VOID, []), [])
        else:
            self.b.call(self._declared("llvm.aarch64.hint", VOID, [I32]), [I32(1)])

    def float_control(self) -> Value:
        """How this thread rounds and what it does with denormal numbers, as the processor keeps it."""
        if not self.is_x86:
            return self.b.call(self._declared("llvm.aarch64.get.fpcr", I64, []), [])
        slot = self._stack_slot(I32, "control")
        self.b.call(self._declared("llvm.x86.sse.stmxcsr", VOID, [POINTER]), [slot])
        return self.b.zext(self.b.load(slot, typ=I32), I64)

    def set_float_control(self, control: Int) -> None:
        if not self.is_x86:
            self.b.call(self._declared("llvm.aarch64.set.fpcr", VOID, [I64]), [control])
            return
        slot = self._stack_slot(I32, "control")
        self.b.store(self.b.trunc(control, I32), slot)
        self.b.call(self._declared("llvm.x86.sse.ldmxcsr", VOID, [POINTER]), [slot])

    def without_denormals(self, control: Value) -> Value:
        """The same, but denormal numbers are read and written as zeros."""
        return self.b.or_(control, I64(X86_DROPS_DENORMALS if self.is_x86 else AARCH64_DROPS_DENORMALS))
