"""Vectors of elements: arithmetic lane by lane, and lanes that change places."""

from collections.abc import Callable, Sequence

from llvmlite import ir

from faltung.codegen.emitter.base import I32, Int, Value
from faltung.codegen.emitter.values import Values, Variable


class Vectors(Values):
    """Words about vectors in registers."""

    def vector_variable(self, name: str) -> Variable:
        return Variable(self, self._stack_slot(self.vector, name), self.vector, None)

    def splat(self, number: float) -> Value:
        key = self._suffix, float(number).hex()  # which tells -0.0 from 0.0
        if key not in self._splats:  # writing out so many lanes is a good part of what emitting takes
            self._splats[key] = ir.Constant(self.vector, number)
        return self._splats[key]

    def number(self, value: Int) -> Value:
        """An integer as an element, in every lane."""
        return self._splat(self.b.sitofp(self.i64(value), self.element), self.vector)

    def _splat(self, scalar: Value, kind: ir.VectorType) -> Value:
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), scalar, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, kind.count), None)
        return self.b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    # -- lane by lane

    def fma(self, a: Value, b: Value, c: Value, name: str = "") -> Value:
        """a * b + c, rounded once where the target can."""
        # without the instruction, llvm.fma would call libm once a lane
        word = "llvm.fma" if self.has_fma else "llvm.fmuladd"
        fma = self._intrinsic(f"{word}.{self._suffix}", self.vector, self.vector, self.vector, self.vector)
        return self.b.call(fma, [a, b, c], name)

    def arithmetic(self, a: Value, how: str, b: Value) -> Value:
        """a + b, a - b, a * b or a / b of vectors."""
        return {"+": self.b.fadd, "-": self.b.fsub, "*": self.b.fmul, "/": self.b.fdiv}[how](a, b)

    def is_ordered(self, a: Value, how: str, b: Value) -> Value:
        """The lanes where a < b, a > b …; false where either is NaN."""
        return self.b.fcmp_ordered(how, a, b)

    def extreme(self, a: Value, how: str, b: Value) -> Value:
        """The larger of a and b (">") or the smaller ("<"); NaN where either is."""
        return self.where(self.is_ordered(a, "uno", a), a, self.where(self.is_ordered(a, how, b), a, b))

    def where(self, mask: Value, yes: Value, no: Value) -> Value:
        return self.b.select(mask, yes, no)

    def absolute(self, a: Value) -> Value:
        return self.b.call(self._intrinsic(f"llvm.fabs.{self._suffix}", self.vector, self.vector), [a])

    def square_root(self, a: Value) -> Value:
        return self.b.call(self._intrinsic(f"llvm.sqrt.{self._suffix}", self.vector, self.vector), [a])

    def mantissa_and_exponent(self, a: Value, exponent_width: int, least: float) -> tuple[Value, Value]:
        """m and k with a = m * 2**k and least <= m < 2 * least, for positive normal numbers."""
        mantissa = 8 * self.element_bytes - 1 - exponent_width
        shift = ir.Constant(self.bits, mantissa)
        pattern = self.b.bitcast(a, self.bits)
        k = self.b.ashr(self.b.sub(pattern, self.b.bitcast(self.splat(least), self.bits)), shift)
        m = self.b.sub(pattern, self.b.shl(k, shift))
        return self.b.bitcast(m, self.vector), self.b.sitofp(k, self.vector)

    def larger(self, a: Value, b: Value) -> Value:
        """The larger of numbers that are not negative, lane by lane; NaN is the largest of all.

        Their bit patterns are in the same order, and no comparison of numbers would keep a NaN.
        """
        larger = self._intrinsic(f"llvm.smax.v{self.lanes}i{8 * self.element_bytes}", self.bits, self.bits, self.bits)
        return self.b.bitcast(self.b.call(larger, [self.b.bitcast(n, self.bits) for n in (a, b)]), self.vector)

    def smaller(self, a: Value, b: Value) -> Value:
        """The smaller number, lane by lane; b where either is NaN."""
        return self.where(self.is_ordered(a, "<", b), a, b)

    def power_of_two(self, exponent_bits: Value, exponent_width: int) -> Value:
        """2**k where the low bits of the vector's bit pattern hold k plus the bias of the format's exponent."""
        mantissa = 8 * self.element_bytes - 1 - exponent_width
        shift = ir.Constant(self.bits, mantissa)
        return self.b.bitcast(self.b.shl(self.b.bitcast(exponent_bits, self.bits), shift), self.vector)

    # -- across lanes

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lane i of the result is lane `lanes[i]` of a and b laid end to end."""
        return self.b.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    def sum_of_lanes(self, a: Value) -> Value:
        """The sum of all lanes, in every lane."""
        return self._across_lanes(a, self.b.fadd)

    def maximum_of_lanes(self, a: Value, how: str = ">") -> Value:
        """The largest lane (the smallest with "<") in every lane; NaN where one is."""
        return self._across_lanes(a, lambda one, other: self.extreme(one, how, other))

    def largest_of_lanes(self, a: Value) -> Value:
        """The largest of all lanes, none of them negative, in every lane."""
        return self._across_lanes(a, self.larger)

    def _across_lanes(self, a: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """All lanes combined, in every lane: neighbours first, then pairs, fours, …."""
        distance = 1
        while distance < self.lanes:
            a = combine(a, self.shuffle(a, a, [lane ^ distance for lane in range(self.lanes)]))
            distance *= 2
        return a

    def in_first_lane(self, condition: Value) -> Value:
        """Does the condition hold in the first lane?"""
        return self.b.extract_element(condition, I32(0))

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
        return self.picked(vectors, [divmod(stride * lane, self.lanes) for lane in range(self.lanes)])

    def picked(self, vectors: Sequence[Value], wanted: Sequence[tuple[int, int]]) -> Value:
        """For each lane, (v, p): lane p of vector number v."""
        result = vectors[0]
        for n in range(1, len(vectors)):  # lanes that lie in vector n come from it, all others stay or are still unset
            first = [position if n == 1 else lane for lane, (_, position) in enumerate(wanted)]
            picks = [self.lanes + p if v == n else first[lane] for lane, (v, p) in enumerate(wanted)]
            result = self.shuffle(result, vectors[n], picks)
        return result
