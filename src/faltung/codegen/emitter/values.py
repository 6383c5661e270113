"""Integers, conditions and pointers as values, and variables that hold them.

Arithmetic on two Python ints is done here and costs nothing in the kernel.
"""

from functools import reduce

from llvmlite import ir

from faltung.codegen.emitter.base import I1, I64, POINTER, Base, Int, Value


class Variable:
    """A number that changes while the kernel runs; it lives in a register once the program is optimised."""

    def __init__(self, e: "Values", slot: Value, kind: ir.Type, value: Value | None) -> None:
        self.e, self.slot, self.kind = e, slot, kind
        if value is not None:
            self.set(value)

    def get(self) -> Value:
        return self.e.b.load(self.slot, self.slot.name, typ=self.kind)

    def set(self, value: Int) -> None:
        self.e.b.store(self.e.i64(value), self.slot)

    def increase(self, step: Int) -> None:
        self.set(self.e.add(self.get(), step))


class Values(Base):
    """Integers and their folding, comparisons, and what depends on them."""

    # -- integers

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

    def minimum(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.choose(self.compare(a, "<", b), a, b)

    def maximum(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.choose(self.compare(a, ">", b), a, b)

    def halves(self, field: Value) -> tuple[Value, Value]:
        """The upper and the lower 32 bits."""
        return self.b.lshr(field, I64(32)), self.b.and_(field, I64(2**32 - 1))

    # -- conditions

    def true(self) -> Value:
        return I1(1)

    def compare(self, a: Int, how: str, b: Int) -> Value:
        return self.b.icmp_signed(how, self.i64(a), self.i64(b))

    def below(self, a: Int, limit: Int) -> Value:
        """0 <= a < limit, in one comparison."""
        return self.b.icmp_unsigned("<", self.i64(a), self.i64(limit))

    def all_of(self, *conditions: Value) -> Value:
        return reduce(self.b.and_, conditions)

    def either_of(self, *conditions: Value) -> Value:
        return reduce(self.b.or_, conditions)

    def is_not(self, condition: Value) -> Value:
        return self.b.not_(condition)

    def choose(self, condition: Value, yes: Int, no: Int) -> Value:
        return self.b.select(condition, self.i64(yes), self.i64(no))

    def as_int(self, condition: Value) -> Value:
        return self.b.zext(condition, I64)

    # -- pointers

    def null(self) -> Value:
        return ir.Constant(POINTER, None)

    def is_there(self, pointer: Value) -> Value:
        """The pointer is not null."""
        return self.b.icmp_unsigned("!=", pointer, self.null())

    def is_aligned(self, pointer: Value, num_bytes: int) -> Value:
        """The pointer is a multiple of `num_bytes`, a power of two."""
        return self.compare(self.b.and_(self.b.ptrtoint(pointer, I64), I64(num_bytes - 1)), "==", 0)

    def choose_pointer(self, condition: Value, yes: Value, no: Value) -> Value:
        return self.b.select(condition, yes, no)

    # -- variables

    def variable(self, value: Int, name: str) -> Variable:
        return Variable(self, self._stack_slot(I64, name), I64, self.i64(value))

    def pointer_variable(self, value: Value, name: str) -> Variable:
        return Variable(self, self._stack_slot(POINTER, name), POINTER, value)
