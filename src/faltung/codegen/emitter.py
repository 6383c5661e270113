"""The fields that kernels are written in; the only file that knows llvmlite.ir.

A Python int is known when the kernel is emitted, an IR value when it runs; `Int` is either. Arithmetic on two Python
ints is done here and costs nothing in the kernel. Loops and branches are context managers, so phi nodes never show.
"""

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

from llvmlite import ir

from faltung.spec.dtype import ITEM_BYTES

Value: TypeAlias = Any  # llvmlite carries no types; an ir.Value
Int: TypeAlias = Any  # a Python int or an i64

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()
VOID = ir.VoidType()
ELEMENTS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
IS_X86 = platform.machine() in ("x86_64", "AMD64")


class Emitter:
    """A module under construction: functions, named loops, addresses and vector fields for one element type."""

    def __init__(
        self, element: str = "float32", lanes: int = 1, *, has_fma: bool = True, has_masked_stores: bool = True
    ) -> None:
        self.module = ir.Module()
        self.element = ELEMENTS[element]
        self.element_bytes = ITEM_BYTES[element]
        self.lanes = lanes
        self.vector = ir.VectorType(self.element, lanes)
        self.bits = ir.VectorType(ir.IntType(8 * self.element_bytes), lanes)
        self._suffix = f"v{lanes}f{8 * self.element_bytes}"
        # without the instruction, llvm.fma would call libm once a lane
        self._fma = "llvm.fma" if has_fma else "llvm.fmuladd"
        self._has_masked_stores = has_masked_stores
        self.b: ir.IRBuilder

    # -- functions and control flow ------------------------------------------------------------------------------

    @contextmanager
    def function(
        self, name: str, *parameters: str, internal: bool = False, returns_null: bool = False
    ) -> Iterator[list[Value]]:
        """Open a function; a parameter named `*p` is a pointer, any other an i64. Yields the argument values.

        An internal function is seen by this module only and is never copied into its callers. A function returns
        nothing, or the null pointer.
        """
        types = [POINTER if p.startswith("*") else I64 for p in parameters]
        function = ir.Function(self.module, ir.FunctionType(POINTER if returns_null else VOID, types), name)
        if internal:
            function.linkage = "internal"
            function.attributes.add("noinline")
        for argument, parameter in zip(function.args, parameters, strict=True):
            argument.name = parameter.lstrip("*")
        outer = getattr(self, "b", None)
        self.b = ir.IRBuilder(function.append_basic_block("entry"))
        yield list(function.args)
        if returns_null:
            self.b.ret(self.null())
        else:
            self.b.ret_void()
        if outer is not None:
            self.b = outer

    @contextmanager
    def loop(self, name: str, stop: Int, start: Int = 0, step: Int = 1) -> Iterator[Int]:
        """Run the body for start, start + step, … below stop; a single known iteration makes no loop."""
        is_known = isinstance(start, int) and isinstance(stop, int)
        if is_known and isinstance(step, int) and start < stop <= start + step:
            yield start
            return
        head, done = self.b.append_basic_block(name), self.b.append_basic_block(f"{name}_done")
        first, last = self.i64(start), self.i64(stop)
        before = self.b.block
        if is_known and start < stop:
            self.b.branch(head)
        else:
            self.b.cbranch(self.b.icmp_signed("<", first, last), head, done)
        self.b.position_at_end(head)
        index = self.b.phi(I64, name)
        index.add_incoming(first, before)
        yield index
        following = self.b.add(index, self.i64(step), f"{name}_next")
        index.add_incoming(following, self.b.block)
        self.b.cbranch(self.b.icmp_signed("<", following, last), head, done)
        self.b.position_at_end(done)

    @contextmanager
    def loop_while(self, name: str) -> Iterator["Forever"]:
        """Repeat the body until it says `forever.leave_if(condition)`."""
        head, done = self.b.append_basic_block(name), self.b.append_basic_block(f"{name}_done")
        self.b.branch(head)
        self.b.position_at_end(head)
        yield Forever(self, done)
        self.b.branch(head)
        self.b.position_at_end(done)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        with self.b.if_then(condition):
            yield

    def either(self, condition: Value, likely: bool | None = None):  # type: ignore[no-untyped-def]
        """`with e.either(c) as (then, otherwise): with then: … with otherwise: …`."""
        return self.b.if_else(condition, likely=likely)

    def call(self, name: str, *arguments: Int) -> None:
        self.b.call(self.module.get_global(name), [self.i64(a) if isinstance(a, int) else a for a in arguments])

    def call_stored(self, place: Value, *arguments: Int) -> None:
        """Call the function of ours whose address is stored at `place`."""
        values = [self.i64(a) for a in arguments]
        kind = ir.FunctionType(VOID, [v.type for v in values])
        self.b.call(self.b.load(place, typ=kind.as_pointer()), values)

    def call_external(self, name: str, arguments: Sequence[Int], returns: ir.Type = I32) -> Value:
        """Call a function of the C library; integers go as 64 bits."""
        arguments = [self.i64(a) for a in arguments]
        return self.b.call(self._declared(name, returns, [a.type for a in arguments]), arguments)

    # -- integers ------------------------------------------------------------------------------------------------

    def i64(self, value: Int) -> Value:
        return I64(value) if isinstance(value, int) else value

    def add(self, *terms: Int) -> Int:
        """The sum; known terms are added here."""
        known = sum(t for t in terms if isinstance(t, int))
        total: Int = 0
        for term in terms:
            if not isinstance(term, int):
                total = term if isinstance(total, int) else self.b.add(total, term)
        return known if isinstance(total, int) else self.b.add(total, I64(known)) if known else total

    def sub(self, a: Int, b: Int) -> Int:
        return a - b if isinstance(a, int) and isinstance(b, int) else self.b.sub(self.i64(a), self.i64(b))

    def mul(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if 0 in (a, b) and (isinstance(a, int) or isinstance(b, int)):
            return 0
        if isinstance(a, int) and a == 1:
            return b
        if isinstance(b, int) and b == 1:
            return a
        return self.b.mul(self.i64(a), self.i64(b))

    def divide(self, a: Int, b: Int) -> tuple[Int, Int]:
        """Quotient and remainder of non-negative numbers."""
        if isinstance(a, int) and isinstance(b, int):
            return divmod(a, b)
        if isinstance(b, int) and b == 1:
            return a, 0
        quotient = self.b.udiv(self.i64(a), self.i64(b))
        return quotient, self.sub(a, self.mul(quotient, b))

    def compare(self, a: Int, how: str, b: Int) -> Value:
        return self.b.icmp_signed(how, self.i64(a), self.i64(b))

    def below(self, a: Int, limit: Int) -> Value:
        """0 <= a < limit, in one comparison."""
        return self.b.icmp_unsigned("<", self.i64(a), self.i64(limit))

    def all_of(self, *conditions: Value) -> Value:
        return reduce(self.b.and_, conditions)

    def null(self) -> Value:
        return ir.Constant(POINTER, None)

    def is_there(self, pointer: Value) -> Value:
        """The pointer is not null."""
        return self.b.icmp_unsigned("!=", pointer, self.null())

    def is_aligned(self, pointer: Value, num_bytes: int) -> Value:
        """The pointer is a multiple of `num_bytes`, a power of two."""
        return self.compare(self.b.and_(self.b.ptrtoint(pointer, I64), I64(num_bytes - 1)), "==", 0)

    def halves(self, field: Value) -> tuple[Value, Value]:
        """The upper and the lower 32 bits."""
        return self.b.lshr(field, I64(32)), self.b.and_(field, I64(2**32 - 1))

    def is_not(self, condition: Value) -> Value:
        return self.b.not_(condition)

    def any_of(self, *conditions: Value) -> Value:
        return reduce(self.b.or_, conditions)

    def choose(self, condition: Value, yes: Int, no: Int) -> Value:
        return self.b.select(condition, self.i64(yes), self.i64(no))

    def choose_pointer(self, condition: Value, yes: Value, no: Value) -> Value:
        return self.b.select(condition, yes, no)

    def minimum(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.choose(self.compare(a, "<", b), a, b)

    def maximum(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.choose(self.compare(a, ">", b), a, b)

    def true(self) -> Value:
        return I1(1)

    def as_int(self, condition: Value) -> Value:
        return self.b.zext(condition, I64)

    def variable(self, value: Int, name: str) -> "Variable":
        return Variable(self, self._stack_slot(I64, name), I64, self.i64(value))

    def pointer_variable(self, value: Value, name: str) -> "Variable":
        return Variable(self, self._stack_slot(POINTER, name), POINTER, value)

    def own_pointer(self, name: str) -> Value:
        """The place of a pointer inside the program, null until somebody stores one."""
        place = ir.GlobalVariable(self.module, POINTER, name)
        place.linkage, place.initializer = "internal", self.null()
        return place

    def vector_variable(self, name: str) -> "Variable":
        return Variable(self, self._stack_slot(self.vector, name), self.vector, None)

    def _stack_slot(self, kind: ir.Type, name: str, count: int = 1) -> Value:
        with self.b.goto_entry_block():
            slot = self.b.alloca(kind, count, name)
        slot.type = POINTER  # llvmlite types it by its element, which would forbid vectors
        return slot

    def integers(self, count: int, name: str) -> "Buffer":
        """A small array of i64 on the stack."""
        return self.fields(self._stack_slot(I64, name, count))

    def pointers(self, count: int, name: str) -> "Buffer":
        """A small array of pointers on the stack."""
        return self.fields(self._stack_slot(POINTER, name, count))

    def elements(self, count: int, name: str) -> "Buffer":
        """A small array of elements on the stack, aligned to vectors."""
        slot = self._stack_slot(self.element, name, count)
        slot.align = 64
        return Buffer(self, slot, {"i": 1}, self.element)

    def zero_elements(self, count: int, name: str) -> "Buffer":
        """A constant array of zeros inside the program."""
        kind = ir.ArrayType(self.element, count)
        array = ir.GlobalVariable(self.module, kind, self.module.get_unique_name(name))
        array.linkage, array.global_constant, array.align = "internal", True, 64
        array.initializer = ir.Constant(kind, None)
        return Buffer(self, array, {"i": 1}, self.element)

    # -- memory --------------------------------------------------------------------------------------------------

    def buffer(self, pointer: Value, **strides: Int) -> "Buffer":
        """Elements seen through named axes; strides count elements."""
        return Buffer(self, pointer, strides, self.element)

    def fields(self, pointer: Value) -> "Buffer":
        """An array of i64 or pointers."""
        return Buffer(self, pointer, {"i": 1}, I64)

    def byte_buffer(self, pointer: Value) -> "Buffer":
        return Buffer(self, pointer, {"i": 1}, I8)

    def load_i64(self, pointer: Value, name: str = "") -> Value:
        return self.b.load(pointer, name, typ=I64)

    def load_pointer(self, pointer: Value, name: str = "") -> Value:
        return self.b.load(pointer, name, typ=POINTER)

    def load_scalar(self, pointer: Value) -> Value:
        return self.b.load(pointer, typ=self.element)

    def zero(self) -> Value:
        return self.element(0.0)

    def store_scalar(self, value: Value, pointer: Value) -> None:
        """Store an element, an i64 or a pointer."""
        self.b.store(self.i64(value), pointer)

    def load(self, pointer: Value, name: str = "") -> Value:
        return self.b.load(pointer, name, typ=self.vector, align=self.element_bytes)

    def store(self, value: Value, pointer: Value) -> None:
        self.b.store(value, pointer, align=self.element_bytes)

    def prefetch(self, pointer: Value, *, to_write: bool = False) -> None:
        """Ask for the cache line at `pointer`, to be used soon; harmless at any address."""
        prefetch = self._declared("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        self.b.call(prefetch, [pointer, I32(int(to_write)), I32(3), I32(1)])

    def copy_numbers(self, source: Value, target: Value, count: int) -> None:
        """Copy `count` neighbouring elements."""
        kind = ir.VectorType(self.element, count)
        value = self.b.load(source, typ=kind, align=self.element_bytes)
        self.b.store(value, target, align=self.element_bytes)

    def store_streaming(self, value: Value, pointer: Value) -> None:
        """Store a vector to an aligned place without reading its cache line first."""
        store = self.b.store(value, pointer, align=self.element_bytes * self.lanes)
        store.set_metadata("nontemporal", self.module.add_metadata([I32(1)]))

    def fence(self) -> None:
        """Order stores around the cache before what follows."""
        self.b.fence("seq_cst")

    def mask(self, count: Int) -> "Mask | None":
        """The first `count` lanes, for masked loads and stores; None stands for all lanes."""
        if isinstance(count, int):
            if count >= self.lanes:
                return None
            return Mask(count, ir.Constant(ir.VectorType(I1, self.lanes), [lane < count for lane in range(self.lanes)]))
        lanes = ir.VectorType(I32, self.lanes)
        wanted = self.b.trunc(self.minimum(count, self.lanes), I32)
        bits = self.b.icmp_signed("<", ir.Constant(lanes, list(range(self.lanes))), self._splat(wanted, lanes))
        return Mask(count, bits)

    def load_masked(self, pointer: Value, mask: "Mask | None", name: str = "") -> Value:
        """The lanes of the mask from memory, zeros in the others; nothing else is read."""
        if mask is None:
            return self.load(pointer, name)
        bits = mask.lanes
        load = self._intrinsic(f"llvm.masked.load.{self._suffix}.p0", self.vector, POINTER, I32, bits.type, self.vector)
        return self.b.call(load, [pointer, I32(self.element_bytes), bits, self.splat(0.0)], name)

    def store_masked(self, value: Value, pointer: Value, mask: "Mask | None") -> None:
        """The lanes of the mask to memory; nothing else is written."""
        if mask is None:
            self.store(value, pointer)
        elif self._has_masked_stores:
            bits = mask.lanes
            store = self._intrinsic(f"llvm.masked.store.{self._suffix}.p0", VOID, self.vector, POINTER, I32, bits.type)
            self.b.call(store, [value, pointer, I32(self.element_bytes), bits])
        elif isinstance(mask.count, int):
            self._store_first(value, pointer, mask.count)
        else:
            with self.either(self.compare(mask.count, ">=", self.lanes), likely=True) as (whole, part):
                with whole:
                    self.store(value, pointer)
                with part:
                    self._store_first(value, pointer, self.maximum(mask.count, 0))

    def _store_first(self, value: Value, pointer: Value, count: Int) -> None:
        """The first `count` lanes, less than all, in halves, quarters, …: AVX2's masked store takes a dozen cycles."""
        left, place = self.vector_variable("left"), self.buffer(pointer, i=1)
        left.set(value)

        def store(size: int, done: Int) -> None:
            lanes = left.get()
            self.store(self.shuffle(lanes, lanes, range(size)), place.at(i=done))
            left.set(self.shuffle(lanes, lanes, [(lane + size) % self.lanes for lane in range(self.lanes)]))

        size, done = self.lanes // 2, 0
        while size:
            if isinstance(count, int):
                part = count & size
                if part:
                    store(size, done)
            else:
                part = self.b.and_(count, self.i64(size))
                with self.when(self.compare(part, "!=", 0)):
                    store(size, done)
            done = self.add(done, part)
            size //= 2

    def broadcast(self, pointer: Value) -> Value:
        return self._splat(self.load_scalar(pointer), self.vector)

    # -- threads -------------------------------------------------------------------------------------------------

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
        if IS_X86:
            self.b.call(self._declared("llvm.x86.sse2.pause", VOID, []), [])
        else:
            self.b.call(self._declared("llvm.aarch64.hint", VOID, [I32]), [I32(1)])

    def float_control(self) -> Value:
        """How this thread rounds and what it does with denormal numbers, as the processor keeps it."""
        if not IS_X86:
            return self.b.call(self._declared("llvm.aarch64.get.fpcr", I64, []), [])
        slot = self._stack_slot(I32, "control")
        self.b.call(self._declared("llvm.x86.sse.stmxcsr", VOID, [POINTER]), [slot])
        return self.b.zext(self.b.load(slot, typ=I32), I64)

    def set_float_control(self, control: Int) -> None:
        if not IS_X86:
            self.b.call(self._declared("llvm.aarch64.set.fpcr", VOID, [I64]), [control])
            return
        slot = self._stack_slot(I32, "control")
        self.b.store(self.b.trunc(control, I32), slot)
        self.b.call(self._declared("llvm.x86.sse.ldmxcsr", VOID, [POINTER]), [slot])

    def without_denormals(self, control: Value) -> Value:
        """The same, but denormal numbers are read and written as zeros."""
        return self.b.or_(control, I64(0x8040 if IS_X86 else 1 << 24))

    # -- vectors -------------------------------------------------------------------------------------------------

    def splat(self, number: float) -> Value:
        return ir.Constant(self.vector, [number] * self.lanes)

    def _splat(self, scalar: Value, kind: ir.VectorType) -> Value:
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), scalar, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
        return self.b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lane i of the result is lane `lanes[i]` of a and b laid end to end."""
        return self.b.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    def sum_of_lanes(self, a: Value) -> Value:
        """The sum of all lanes, in every lane: neighbours first, then pairs, fours, …."""
        distance = 1
        while distance < self.lanes:
            a = self.b.fadd(a, self.shuffle(a, a, [lane ^ distance for lane in range(self.lanes)]))
            distance *= 2
        return a

    def transpose(self, rows: Sequence[Value]) -> list[Value]:
        """As many vectors as they have lanes, with rows and lanes exchanged: blocks of 1, 2, 4, … change places."""
        result = list(rows)
        lanes, size = range(self.lanes), 1
        while size < self.lanes:
            for r in (r for r in lanes if not r & size):
                a, b = result[r], result[r + size]
                result[r] = self.shuffle(a, b, [i + self.lanes - size if i & size else i for i in lanes])
                result[r + size] = self.shuffle(a, b, [i + self.lanes if i & size else i + size for i in lanes])
            size *= 2
        return result

    def every(self, vectors: Sequence[Value], stride: int) -> Value:
        """Numbers 0, stride, 2 stride, … of `stride` vectors laid end to end, as one vector."""
        result = vectors[0]
        for n in range(1, stride):  # lanes that lie in vector n come from it, all others stay or are still unset
            wanted = [(stride * lane // self.lanes, stride * lane % self.lanes) for lane in range(self.lanes)]
            first = [position if n == 1 else lane for lane, (_, position) in enumerate(wanted)]
            picks = [self.lanes + p if v == n else first[lane] for lane, (v, p) in enumerate(wanted)]
            result = self.shuffle(result, vectors[n], picks)
        return result

    def fma(self, a: Value, b: Value, c: Value, name: str = "") -> Value:
        fma = self._intrinsic(f"{self._fma}.{self._suffix}", self.vector, self.vector, self.vector, self.vector)
        return self.b.call(fma, [a, b, c], name)

    def arithmetic(self, a: Value, how: str, b: Value) -> Value:
        """a + b, a - b, a * b or a / b of vectors."""
        return {"+": self.b.fadd, "-": self.b.fsub, "*": self.b.fmul, "/": self.b.fdiv}[how](a, b)

    def is_ordered(self, a: Value, how: str, b: Value) -> Value:
        """The lanes where a < b, a > b …; false where either is NaN."""
        return self.b.fcmp_ordered(how, a, b)

    def where(self, mask: Value, yes: Value, no: Value) -> Value:
        return self.b.select(mask, yes, no)

    def absolute(self, a: Value) -> Value:
        return self.b.call(self._intrinsic(f"llvm.fabs.{self._suffix}", self.vector, self.vector), [a])

    def power_of_two(self, exponent_bits: Value, exponent_width: int) -> Value:
        """2**k where the low bits of the vector's bit pattern hold k plus the bias of the format's exponent."""
        mantissa = 8 * self.element_bytes - 1 - exponent_width
        shift = ir.Constant(self.bits, [mantissa] * self.lanes)
        return self.b.bitcast(self.b.shl(self.b.bitcast(exponent_bits, self.bits), shift), self.vector)

    def _intrinsic(self, name: str, returns: ir.Type, *parameters: ir.Type) -> ir.Function:
        # llvmlite's own declare_intrinsic refuses vectors
        return self._declared(name, returns, parameters)

    def _declared(self, name: str, returns: ir.Type, parameters: Sequence[ir.Type]) -> ir.Function:
        if name not in self.module.globals:
            ir.Function(self.module, ir.FunctionType(returns, parameters), name)
        return self.module.get_global(name)


@dataclass
class Forever:
    """An endless loop in progress."""

    e: Emitter
    done: ir.Block

    def leave_if(self, condition: Value) -> None:
        following = self.e.b.append_basic_block("go_on")
        self.e.b.cbranch(condition, self.done, following)
        self.e.b.position_at_end(following)


@dataclass(frozen=True)
class Mask:
    """The first `count` lanes; as bits too."""

    count: Int
    lanes: Value


class Variable:
    """A number that changes while the kernel runs; it lives in a register once the program is optimised."""

    def __init__(self, e: Emitter, slot: Value, kind: ir.Type, value: Value | None) -> None:
        self.e, self.slot, self.kind = e, slot, kind
        if value is not None:
            self.set(value)

    def get(self) -> Value:
        return self.e.b.load(self.slot, self.slot.name, typ=self.kind)

    def set(self, value: Int) -> None:
        self.e.b.store(self.e.i64(value), self.slot)

    def increase(self, step: Int) -> None:
        self.set(self.e.add(self.get(), step))


@dataclass
class Buffer:
    """Memory seen through named axes; `at` is the only caller of gep in the package."""

    e: Emitter
    pointer: Value
    strides: dict[str, Int]
    kind: ir.Type

    def at(self, **indices: Int) -> Value:
        """The address of one element; what is known is folded into one constant offset."""
        e, known, pointer = self.e, 0, self.pointer
        for axis, index in indices.items():
            offset = e.mul(index, self.strides[axis])
            if isinstance(offset, int):
                known += offset
            else:
                pointer = e.b.gep(pointer, [offset], source_etype=self.kind)
        return e.b.gep(pointer, [I64(known)], source_etype=self.kind) if known else pointer

    def moved(self, **indices: Int) -> "Buffer":
        """The same axes, seen from another origin."""
        return Buffer(self.e, self.at(**indices), self.strides, self.kind)

    def field(self, index: Int, name: str = "") -> Value:
        """The i64 at `index` of an array of fields."""
        return self.e.load_i64(self.at(i=index), name)

    def pointer_at(self, index: Int, name: str = "") -> Value:
        """The pointer at `index` of an array of fields."""
        return self.e.load_pointer(self.at(i=index), name)
