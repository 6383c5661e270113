"""Rules of ours that an emitted module must keep, looked at before LLVM's verifier.

LLVM verifies that a program is well formed; these rules are about what such a program would do: read a vector as if it
were aligned, leave stores around the cache unordered, round otherwise than the spec says. A module that breaks one is
a bug of an emitter, found here with the name of its function, on the machine that emits and not on the one that
crashes. (The rule that a known index lies inside its array is kept by `Buffer.at`, where the index is written.)

Instructions are told by their opcode and types by their spelling, so that this file needs nothing of llvmlite.
"""

from collections.abc import Callable
from typing import Any

from faltung.errors import CodegenError

Instruction = Any  # of llvmlite, which carries no types
Function = Any

FAST_MATH = frozenset(("fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"))
BYTES = {"float": 4, "double": 8, "i1": 1, "i8": 1, "i32": 4, "i64": 8, "ptr": 8}
FENCE = "a function with streaming stores must end with a fence behind them"
MASK_OF = {"llvm.masked.load": 2, "llvm.masked.store": 3}
"""The position of the mask among the arguments; the alignment stands before it."""


def check(module: Any) -> None:
    """Raise CodegenError with the function, the rule and the instruction where one breaks a rule."""
    for function in module.functions:
        if function.blocks:
            _check_function(function)


def _check_function(function: Function) -> None:
    entry = function.blocks[0]
    has_casts = is_streaming = False
    for block in function.blocks:
        for instruction in block.instructions:
            opcode = instruction.opname
            if instruction.flags and not FAST_MATH.isdisjoint(instruction.flags):
                _refuse(instruction, "rounding must not depend on fast-math flags")
            rule = RULES.get(opcode)
            if rule is not None:
                rule(instruction)
                is_streaming = is_streaming or (opcode == "store" and _is_streaming(instruction))
                has_casts = has_casts or opcode == "ptrtoint"
                if opcode == "alloca" and block is not entry:
                    _refuse(instruction, "a stack slot must lie in the entry block: in a loop, the stack would grow")
    if has_casts:
        _check_uses_of_casts(function)
    if is_streaming:
        _check_fences(function)


def _refuse(instruction: Instruction, rule: str) -> None:
    function = instruction.parent.parent.name
    raise CodegenError(f"{function}: {rule}; got {' '.join(str(instruction).split())!r}")


# -- rules about one instruction


def _check_load(load: Instruction) -> None:
    if _lanes(load.type):
        _check_alignment(load, load.type, load.operands[0])


def _check_store(store: Instruction) -> None:
    value, pointer = store.operands
    if _lanes(value.type):
        _check_alignment(store, value.type, pointer)


def _check_alignment(access: Instruction, vector: Any, pointer: Any) -> None:
    """A vector lies like its element, but for streaming stores and memory that the program has aligned itself."""
    if access.align is None:
        if getattr(pointer, "opname", "") != "alloca" or pointer.allocated_type != vector:
            _refuse(access, "a vector outside a variable must be given an alignment")
        return
    element = BYTES[str(vector.element)]
    if _is_streaming(access):
        if access.align != element * vector.count:
            _refuse(access, "a streaming store must be aligned to its whole vector")
    elif access.align > element and access.align > (getattr(pointer, "align", None) or 0):
        _refuse(access, "a vector may be aligned like its element only, where neither a word nor its array says more")


def _check_call(call: Instruction) -> None:
    callee, *arguments = call.operands
    if call.fastmath:
        _refuse(call, "rounding must not depend on fast-math flags")
    wanted = callee.function_type.args
    if len(wanted) != len(arguments) or any(a.type != kind for a, kind in zip(arguments, wanted, strict=True)):
        _refuse(call, f"arguments must be ({', '.join(map(str, wanted))})")
    if callee.name.startswith("llvm.masked."):
        _check_masked(call, callee.name, arguments)


def _check_masked(call: Instruction, name: str, arguments: list[Any]) -> None:
    place = MASK_OF[".".join(name.split(".")[:3])]
    vector = call.type if _lanes(call.type) else arguments[0].type
    if _lanes(arguments[place].type) != vector.count:
        _refuse(call, f"a mask must have as many lanes as its vector, {vector.count}")
    if arguments[place - 1].constant > BYTES[str(vector.element)]:
        _refuse(call, "lanes under a mask may be aligned like their element only")


def _check_comparison(comparison: Instruction) -> None:
    a, b = comparison.operands
    if a.type != b.type:
        _refuse(comparison, "what is compared must have one type")


def _check_integer_to_pointer(cast: Instruction) -> None:
    _refuse(cast, "addresses are made by Buffer.at, not from integers")


def _pass(_: Instruction) -> None:
    """Looked at where its function is."""


RULES: dict[str, Callable[[Instruction], None]] = {
    "load": _check_load,
    "store": _check_store,
    "call": _check_call,
    "icmp": _check_comparison,
    "inttoptr": _check_integer_to_pointer,
    "ptrtoint": _pass,
    "alloca": _pass,
}


# -- rules about a function


def _check_uses_of_casts(function: Function) -> None:
    """An address becomes an integer for a test of its alignment, and for nothing else."""
    instructions = [instruction for block in function.blocks for instruction in block.instructions]
    casts = {id(instruction) for instruction in instructions if instruction.opname == "ptrtoint"}
    for instruction in instructions:
        used = [*instruction.operands, *(value for value, _ in getattr(instruction, "incomings", ()))]
        if any(id(value) in casts for value in used) and not _is_alignment_test(instruction):
            _refuse(instruction, "an address may be used as an integer for a test of its alignment only")


def _is_alignment_test(instruction: Instruction) -> bool:
    if instruction.opname != "and":
        return False
    mask = getattr(instruction.operands[1], "constant", None)
    return isinstance(mask, int) and mask > 0 and mask & (mask + 1) == 0


def _check_fences(function: Function) -> None:
    """Stores around the cache are ordered by nobody else: each way out of their function passes a fence behind them."""
    for block in function.blocks:
        if block.terminator.opname.startswith("ret"):
            for instruction in reversed(block.instructions):
                if instruction.opname == "fence":
                    break
                if instruction.opname == "store" and _is_streaming(instruction):
                    _refuse(instruction, FENCE)
            else:
                _refuse(block.terminator, FENCE)


def _is_streaming(access: Instruction) -> bool:
    return "nontemporal" in access.metadata


def _lanes(kind: Any) -> int:
    """The lanes of a vector type, 0 for any other."""
    return getattr(kind, "count", 0)
