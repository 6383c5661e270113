"""Functions, loops, conditions and calls. They are context managers, so phi nodes never show."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from faltung.codegen.emitter.base import I32, I64, POINTER, VOID, Int, Value
from faltung.codegen.emitter.values import Values


@dataclass
class Forever:
    """An endless loop in progress."""

    e: "Control"
    done: ir.Block

    def leave_if(self, condition: Value) -> None:
        following = self.e.b.append_basic_block("go_on")
        self.e.b.cbranch(condition, self.done, following)
        self.e.b.position_at_end(following)


class Control(Values):
    """What runs when, and how often."""

    @contextmanager
    def function(
        self, name: str, *parameters: str, internal: bool = False, returns_pointer: bool = False
    ) -> Iterator[list[Any]]:
        """Open a function; a parameter named `*p` is a pointer, any other an i64. Yields the argument values.

        An internal function is seen by this module only and is never copied into its callers. A function returns
        nothing, or a pointer: what the variable holds that follows the arguments, null at first.
        """
        types = [POINTER if p.startswith("*") else I64 for p in parameters]
        function = ir.Function(self.module, ir.FunctionType(POINTER if returns_pointer else VOID, types), name)
        if internal:
            function.linkage = "internal"
            function.attributes.add("noinline")
        for argument, parameter in zip(function.args, parameters, strict=True):
            argument.name = parameter.lstrip("*")
        outer = getattr(self, "b", None)
        self.b = ir.IRBuilder(function.append_basic_block("entry"))
        if returns_pointer:
            result = self.pointer_variable(self.null(), "result")
            yield [*function.args, result]
            self.b.ret(result.get())
        else:
            yield list(function.args)
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
    def loop_while(self, name: str) -> Iterator[Forever]:
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

    def call_stored(self, place: Value, *arguments: Int, returns: ir.Type = VOID) -> Value:
        """Call the function whose address is stored at `place`."""
        values = [self.i64(a) for a in arguments]
        kind = ir.FunctionType(returns, [v.type for v in values])
        return self.b.call(self.b.load(place, typ=kind.as_pointer()), values)

    def call_external(self, name: str, arguments: Sequence[Int], returns: ir.Type = I32) -> Value:
        """Call a function of the C library; integers go as 64 bits."""
        arguments = [self.i64(a) for a in arguments]
        return self.b.call(self._declared(name, returns, [a.type for a in arguments]), arguments)
