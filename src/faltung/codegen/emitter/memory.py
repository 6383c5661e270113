"""Memory: buffers with named axes, loads and stores, the lanes that they take, and small arrays of the program's own.

A vector in memory is aligned like its element, unless a word says more.
"""

from dataclasses import dataclass

from llvmlite import ir

from faltung.codegen.emitter.base import I1, I8, I32, I64, POINTER, VOID, Int, Value
from faltung.codegen.emitter.control import Control
from faltung.codegen.emitter.vectors import Vectors
from faltung.errors import CodegenError


@dataclass(frozen=True)
class Mask:
    """The first `count` lanes; as bits too."""

    count: Int
    lanes: Value


@dataclass(frozen=True)
class OwnArray:
    """A small array inside the program or on its stack, and how much it holds."""

    name: str
    size: int

    def check(self, index: int) -> None:
        """Refuse a known index outside."""
        if not 0 <= index < self.size:
            raise CodegenError(f"index {index} lies outside the array {self.name!r} of {self.size}")


@dataclass
class Buffer:
    """Memory seen through named axes; `at` and `moved` are the only callers of gep in the package."""

    e: "Memory"
    pointer: Value
    strides: dict[str, Int]
    kind: ir.Type
    array: OwnArray | None = None
    start: int = 0
    """Where the pointer stands in the array, where it is one of the program's own."""

    def at(self, **indices: Int) -> Value:
        """The address of one element; what is known is folded into one constant offset."""
        place, known = self._place(indices)
        if self.array is not None and known is not None:
            self.array.check(self.start + known)
        return place

    def moved(self, **indices: Int) -> "Buffer":
        """The same axes, seen from another origin."""
        place, known = self._place(indices)
        if known is None:
            return Buffer(self.e, place, self.strides, self.kind)
        return Buffer(self.e, place, self.strides, self.kind, self.array, self.start + known)

    def field(self, index: Int, name: str = "") -> Value:
        """The i64 at `index` of an array of fields."""
        return self.e.load_i64(self.at(i=index), name)

    def pointer_at(self, index: Int, name: str = "") -> Value:
        """The pointer at `index` of an array of fields."""
        return self.e.load_pointer(self.at(i=index), name)

    def _place(self, indices: dict[str, Int]) -> tuple[Value, int | None]:
        """The address, and how many elements it lies from the origin where that is known."""
        e, known, pointer = self.e, 0, self.pointer
        for axis, index in indices.items():
            offset = e.mul(index, self.strides[axis])
            if isinstance(offset, int):
                known += offset
            else:
                pointer = e.b.gep(pointer, [offset], source_etype=self.kind)
        is_known = pointer is self.pointer
        place = e.b.gep(pointer, [I64(known)], source_etype=self.kind) if known else pointer
        return place, known if is_known else None


class Memory(Control, Vectors):
    """Addresses, and what is read and written there."""

    # -- buffers

    def buffer(self, pointer: Value, **strides: Int) -> Buffer:
        """Elements seen through named axes; strides count elements."""
        return Buffer(self, pointer, strides, self.element)

    def fields(self, pointer: Value) -> Buffer:
        """An array of i64 or pointers."""
        return Buffer(self, pointer, {"i": 1}, I64)

    def byte_buffer(self, pointer: Value) -> Buffer:
        return Buffer(self, pointer, {"i": 1}, I8)

    def integers(self, count: int, name: str) -> Buffer:
        """A small array of i64 on the stack."""
        return Buffer(self, self._stack_slot(I64, name, count), {"i": 1}, I64, OwnArray(name, count))

    def pointers(self, count: int, name: str) -> Buffer:
        """A small array of pointers on the stack."""
        return Buffer(self, self._stack_slot(POINTER, name, count), {"i": 1}, I64, OwnArray(name, count))

    def elements(self, count: int, name: str) -> Buffer:
        """A small array of elements on the stack, aligned to vectors."""
        slot = self._stack_slot(self.element, name, count)
        slot.align = 64
        return Buffer(self, slot, {"i": 1}, self.element, OwnArray(name, count))

    def zero_elements(self, count: int, name: str) -> Buffer:
        """A constant array of zeros inside the program."""
        kind = ir.ArrayType(self.element, count)
        array = ir.GlobalVariable(self.module, kind, self.module.get_unique_name(name))
        array.linkage, array.global_constant, array.align = "internal", True, 64
        array.initializer = ir.Constant(kind, None)
        return Buffer(self, array, {"i": 1}, self.element, OwnArray(name, count))

    def text(self, text: str, name: str) -> Value:
        """A constant text inside the program, as C ends one."""
        numbers = bytearray(text.encode() + b"\0")
        array = ir.GlobalVariable(self.module, ir.ArrayType(I8, len(numbers)), self.module.get_unique_name(name))
        array.linkage, array.global_constant = "internal", True
        array.initializer = ir.Constant(array.value_type, numbers)
        return array

    def own_pointer(self, name: str) -> Value:
        """The place of a pointer inside the program, null until somebody stores one."""
        place = ir.GlobalVariable(self.module, POINTER, name)
        place.linkage, place.initializer = "internal", self.null()
        return place

    # -- numbers and pointers, one at a time

    def zero(self) -> Value:
        return self.element(0.0)

    def load_i64(self, pointer: Value, name: str = "") -> Value:
        return self.b.load(pointer, name, typ=I64)

    def load_index(self, pointer: Value, num_bytes: int) -> Value:
        """A signed integer of 4 or 8 bytes, as an i64."""
        return self.load_i64(pointer) if num_bytes == 8 else self.b.sext(self.b.load(pointer, typ=I32), I64)

    def load_pointer(self, pointer: Value, name: str = "") -> Value:
        return self.b.load(pointer, name, typ=POINTER)

    def load_scalar(self, pointer: Value) -> Value:
        return self.b.load(pointer, typ=self.element)

    def store_scalar(self, value: Value, pointer: Value) -> None:
        """Store an element, an i64 or a pointer."""
        self.b.store(self.i64(value), pointer)

    # -- vectors

    def load(self, pointer: Value, name: str = "") -> Value:
        return self.b.load(pointer, name, typ=self.vector, align=self.element_bytes)

    def store(self, value: Value, pointer: Value) -> None:
        self.b.store(value, pointer, align=self.element_bytes)

    def broadcast(self, pointer: Value) -> Value:
        return self._splat(self.load_scalar(pointer), self.vector)

    def load_each(self, places: list[Value]) -> Value:
        """A vector of numbers from anywhere."""
        vector: Value = ir.Constant(self.vector, ir.Undefined)
        for lane, place in enumerate(places):
            vector = self.b.insert_element(vector, self.load_scalar(place), I32(lane))
        return vector

    def store_each(self, value: Value, places: list[Value]) -> None:
        """Each lane to a place of its own."""
        for lane, place in enumerate(places):
            self.b.store(self.b.extract_element(value, I32(lane)), place)

    def copy_numbers(self, source: Value, target: Value, count: int) -> None:
        """Copy `count` neighbouring elements."""
        kind = ir.VectorType(self.element, count)
        value = self.b.load(source, typ=kind, align=self.element_bytes)
        self.b.store(value, target, align=self.element_bytes)

    def prefetch(self, pointer: Value, *, to_write: bool = False) -> None:
        """Ask for the cache line at `pointer`, to be used soon; harmless at any address."""
        prefetch = self._declared("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        self.b.call(prefetch, [pointer, I32(int(to_write)), I32(3), I32(1)])

    def store_streaming(self, value: Value, pointer: Value) -> None:
        """Store a vector to an aligned place without reading its cache line first; the function ends with a fence."""
        store = self.b.store(value, pointer, align=self.element_bytes * self.lanes)
        store.set_metadata("nontemporal", self.module.add_metadata([I32(1)]))

    def fence(self) -> None:
        """Order stores around the cache before what follows."""
        self.b.fence("seq_cst")

    # -- some lanes of vectors

    def mask(self, count: Int) -> Mask | None:
        """The first `count` lanes, for masked loads and stores; None stands for all lanes."""
        if isinstance(count, int):
            if count >= self.lanes:
                return None
            return Mask(count, ir.Constant(ir.VectorType(I1, self.lanes), [lane < count for lane in range(self.lanes)]))
        lanes = ir.VectorType(I32, self.lanes)
        wanted = self.b.trunc(self.minimum(count, self.lanes), I32)
        bits = self.b.icmp_signed("<", ir.Constant(lanes, list(range(self.lanes))), self._splat(wanted, lanes))
        return Mask(count, bits)

    def load_masked(self, pointer: Value, mask: Mask | None, name: str = "") -> Value:
        """The lanes of the mask from memory, zeros in the others; nothing else is read."""
        if mask is None:
            return self.load(pointer, name)
        bits = mask.lanes
        load = self._intrinsic(f"llvm.masked.load.{self._suffix}.p0", self.vector, POINTER, I32, bits.type, self.vector)
        return self.b.call(load, [pointer, I32(self.element_bytes), bits, self.splat(0.0)], name)

    def store_masked(self, value: Value, pointer: Value, mask: Mask | None) -> None:
        """The lanes of the mask to memory; nothing else is written."""
        if mask is None:
            self.store(value, pointer)
        elif self.has_masked_stores:
            bits = mask.lanes
            store = self._intrinsic(f"llvm.masked.store.{self._suffix}.p0", VOID, self.vector, POINTER, I32, bits.type)
            self.b.call(store, [value, pointer, I32(self.element_bytes), bits])
        elif isinstance(mask.count, int):
            self._store_first(value, pointer, max(mask.count, 0))
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
