"""Each rule of codegen/check.py refuses a small wrong program, and says which function breaks it and how."""

import re
from collections.abc import Callable

import pytest
from llvmlite import ir  # type: ignore[import-untyped]

from faltung.codegen.check import check
from faltung.codegen.emitter import Emitter, Mask, Value
from faltung.errors import CodegenError
from faltung.machine.known import AVX512, TARGETS
from faltung.machine.target import Target
from faltung.runtime.compile import object_code

Body = Callable[[Emitter, Value], object]


def emitted(body: Body, target: Target = AVX512) -> Emitter:
    """Return a program of one function of a pointer."""
    e = Emitter(target, "float32")
    with e.function("wrong", "*x") as (x,):
        body(e, x)
    return e


def _load(e: Emitter, x: Value, align: int | None) -> None:
    e.b.load(x, typ=e.vector, align=align)


def _store_with_flag(e: Emitter, x: Value) -> None:
    total = e.b.fadd(e.load(x), e.splat(1.0), flags=["contract"])
    e.store(total, x)


def _call_with_flag(e: Emitter, x: Value) -> None:
    absolute = e._intrinsic("llvm.fabs.v16f32", e.vector, e.vector)
    e.b.call(absolute, [e.load(x)], fastmath=["nnan"])


def _load_other_mask(e: Emitter, x: Value) -> None:
    lanes = ir.Constant(ir.VectorType(ir.IntType(1), 4), [True] * 4)
    e.load_masked(x, Mask(4, lanes))


def _store_other_mask(e: Emitter, x: Value) -> None:
    lanes = ir.Constant(ir.VectorType(ir.IntType(1), 8), [True] * 8)
    e.store_masked(e.splat(0.0), x, Mask(8, lanes))


def _load_aligned_under_mask(e: Emitter, x: Value) -> None:
    bits = e.mask(3).lanes  # type: ignore[union-attr]
    word = e._intrinsic("llvm.masked.load.v16f32.p0", e.vector, x.type, ir.IntType(32), bits.type, e.vector)
    e.b.call(word, [x, ir.IntType(32)(64), bits, e.splat(0.0)])


def _stream_sometimes(e: Emitter, x: Value) -> None:
    with e.when(e.is_aligned(x, 64)):
        e.store_streaming(e.splat(0.0), x)


def _stream_before_the_fence_only(e: Emitter, x: Value) -> None:
    e.store_streaming(e.splat(0.0), x)
    e.fence()
    e.store_streaming(e.splat(0.0), e.buffer(x, i=1).at(i=16))


def _stream_unaligned(e: Emitter, x: Value) -> None:
    e.store_streaming(e.splat(0.0), x)
    e.b.block.instructions[-1].align = 4
    e.fence()


def _step_by_hand(e: Emitter, x: Value) -> None:
    address = e.b.add(e.b.ptrtoint(x, ir.IntType(64)), ir.IntType(64)(64))
    e.is_aligned(x, 64)
    e.store_scalar(address, x)


def _slot_in_a_loop(e: Emitter, x: Value) -> None:
    with e.loop("i", e.load_i64(x)):
        e.b.alloca(e.vector)


WRONG: dict[str, tuple[Body, str]] = {
    "a load without an alignment": (
        lambda e, x: _load(e, x, None),
        'a vector outside a variable must be given an alignment; got \'%".3" = load <16 x float>, ptr %"x"\'',
    ),
    "a store without an alignment": (
        lambda e, x: e.b.store(e.splat(0.0), x),
        "a vector outside a variable must be given an alignment; got 'store <16 x float>",
    ),
    "a vector in a slot of something else": (
        lambda e, x: e.b.load(e.variable(0, "number").slot, typ=e.vector),
        "a vector outside a variable must be given an alignment",
    ),
    "a load as if it were aligned": (
        lambda e, x: _load(e, x, 64),
        "a vector may be aligned like its element only, where neither a word nor its array says more; got '",
    ),
    "a store as if it were aligned": (
        lambda e, x: e.b.store(e.splat(0.0), x, align=32),
        "a vector may be aligned like its element only, where neither a word nor its array says more; got '",
    ),
    "a streaming store that is not aligned": (
        _stream_unaligned,
        "a streaming store must be aligned to its whole vector; got 'store",
    ),
    "a streaming store without a fence": (
        lambda e, x: e.store_streaming(e.splat(0.0), x),
        "a function with streaming stores must end with a fence behind them; got 'store <16 x float>",
    ),
    "a streaming store in a branch without a fence": (
        _stream_sometimes,
        "a function with streaming stores must end with a fence behind them; got 'ret void'",
    ),
    "a streaming store behind the fence": (
        _stream_before_the_fence_only,
        "a function with streaming stores must end with a fence behind them; got 'store <16 x float>",
    ),
    "a mask of fewer lanes to load": (_load_other_mask, "a mask must have as many lanes as its vector, 16; got '"),
    "a mask of fewer lanes to store": (
        _store_other_mask,
        "a mask must have as many lanes as its vector, 16; got 'call",
    ),
    "a masked load as if it were aligned": (
        _load_aligned_under_mask,
        "lanes under a mask may be aligned like their element only; got '",
    ),
    "an address from an integer": (
        lambda e, x: e.b.inttoptr(e.load_i64(x), x.type),
        "addresses are made by Buffer.at, not from integers; got '",
    ),
    "an address that is added to": (
        _step_by_hand,
        "an address may be used as an integer for a test of its alignment only; got '",
    ),
    "an argument too many": (lambda e, x: e.call("callee", x, 1, 2), "arguments must be (ptr, i64); got 'call void"),
    "numbers of two widths": (
        lambda e, x: e.b.icmp_signed("<", e.b.load(x, typ=ir.IntType(32)), e.load_i64(x)),
        "what is compared must have one type; got '",
    ),
    "an operation with a flag": (_store_with_flag, "rounding must not depend on fast-math flags; got '"),
    "a call with a flag": (_call_with_flag, "rounding must not depend on fast-math flags; got '"),
    "a slot in a loop": (
        _slot_in_a_loop,
        "a stack slot must lie in the entry block: in a loop, the stack would grow; got '",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_is_refused(name: str) -> None:
    body, message = WRONG[name]
    e = Emitter(AVX512, "float32")
    with e.function("callee", "*x", "count"):
        pass
    with e.function("wrong", "*x") as (x,):
        body(e, x)
    with pytest.raises(CodegenError, match=f"^wrong: {re.escape(message)}"):
        check(e.module)


def _all_words(e: Emitter, x: Value) -> None:
    """Do what looks like the above, and is right."""
    own, zeros, total = e.elements(32, "own"), e.zero_elements(16, "zeros"), e.vector_variable("total")
    total.set(e.load(x))
    e.b.store(total.get(), own.pointer, align=64)  # aligned by the program itself
    e.b.load(zeros.pointer, typ=e.vector, align=64)  # as the program has made it
    e.store_masked(e.load_masked(x, e.mask(3)), x, e.mask(e.load_i64(x)))
    with e.when(e.is_aligned(x, 64)):
        e.store_streaming(total.get(), x)
    e.fence()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_right_program_passes(target: Target) -> None:
    check(emitted(_all_words, target).module)


@pytest.mark.parametrize(
    ("index", "make"),
    [
        (4, lambda e: e.integers(4, "own")),
        (-1, lambda e: e.integers(4, "own")),
        (7, lambda e: e.pointers(7, "own")),
        (32, lambda e: e.elements(32, "own")),
        (9, lambda e: e.zero_elements(9, "own")),
    ],
)
def test_a_known_index_lies_inside_its_array(index: int, make: Callable[[Emitter], object]) -> None:
    sizes = {7: 7, 32: 32, 9: 9}

    def outside(e: Emitter, x: Value) -> None:
        array = make(e)
        array.at(i=0)  # type: ignore[attr-defined]
        array.moved(i=2).at(i=-2)  # type: ignore[attr-defined]
        with pytest.raises(CodegenError, match=r"^index -3 lies outside the array 'own' of \d+$"):
            array.moved(i=-1).at(i=-2)  # type: ignore[attr-defined]
        array.moved(i=e.load_i64(x)).at(i=100)  # type: ignore[attr-defined]  # where, is known when it runs
        array.at(i=index)  # type: ignore[attr-defined]

    with pytest.raises(CodegenError, match=f"^index {index} lies outside the array 'own' of {sizes.get(index, 4)}$"):
        emitted(outside)


def test_the_message_carries_the_description() -> None:
    def emit(e: Emitter) -> None:
        with e.function("wrong", "*x") as (x,):
            _stream_sometimes(e, x)

    message = (
        "faltung emitted a wrong program, please report: 'conv1d n1 w9 ic1 oc1 kw3': "
        "wrong: a function with streaming stores must end with a fence behind them; got 'ret void'"
    )
    with pytest.raises(CodegenError, match=f"^{re.escape(message)}$"):
        object_code("conv1d n1 w9 ic1 oc1 kw3", emit, dtype="float32", target=AVX512)


def test_what_llvm_refuses_carries_the_description_too() -> None:
    def emit(e: Emitter) -> None:
        with e.function("wrong", "*x") as (x,):
            e.b.call(e._declared("llvm.fma.v3f32", e.vector, [e.vector]), [e.load(x)])

    with pytest.raises(CodegenError, match=r"^faltung emitted a wrong program, please report: 'a spec': "):
        object_code("a spec", emit, dtype="float32", target=AVX512)


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2)], ids=["too few", "of another type", "too many"])
def test_arguments_that_do_not_fit_carry_the_description_too(arguments: tuple[int, ...]) -> None:
    def emit(e: Emitter) -> None:
        with e.function("callee", "*x"):
            pass
        with e.function("wrong"):
            e.call("callee", *arguments)

    with pytest.raises(CodegenError, match=r"^faltung emitted a wrong program, please report: 'a spec': "):
        object_code("a spec", emit, dtype="float32", target=AVX512)
