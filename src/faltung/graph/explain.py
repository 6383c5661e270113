"""A planned network in words: step by step, with what was fused, how it is computed and where its result lies."""

from collections.abc import Iterator

from faltung.graph.graph import Node
from faltung.graph.lowering import HostStep, Operand, Step
from faltung.graph.program import Program, macs_of
from faltung.graph.stored import Buffer, Outside


def explain(program: Program) -> str:
    """A line for each step, then what the whole network needs."""
    steps = list(_rows(program))
    total = sum(row[-1] for row in steps) or 1.0
    width = max((len(row[0]) for row in steps), default=0)
    lines = [f"{name:<{width}}  {what}  {cycles / total:4.0%}" for name, what, cycles in steps]
    native = [step for step in program.steps if isinstance(step, Step)]
    inputs = ", ".join(f"{name} {value.shape}" for name, value in program.graph.inputs.items())
    return "\n".join(
        [
            f"network of {len(program.graph.nodes)} nodes for {inputs}",
            *lines,
            f"{len(native)} steps in {len(program.parts)} segments, {program.macs:,} multiply-adds, "
            f"{'one thread' if program.is_alone else 'all threads'}; percentages are shares of time by the cost model",
            f"arena {program.arena.num_bytes:,} bytes, of which {program.arena.live_bytes:,} live at once; "
            f"weights {program.weight_bytes:,} bytes",
            *(f"segment {n}: {segment}" for n, segment in enumerate(program.segments, 1)),
        ]
    )


def _rows(program: Program) -> Iterator[tuple[str, str, float]]:
    for step in program.steps:
        if isinstance(step, HostStep):
            yield step.node.name or step.node.outputs[0], f"island: {step.node['reason']}", 0.0
            continue
        words = [_node(step.node), step.plan.algorithm, f"{step.plan.num_tasks} tasks", _place(step.operands["y"])]
        if step.plan.algorithm not in ("map", "pool") and macs_of(step):
            words.insert(2, f"{macs_of(step):,} multiply-adds")
        yield step.node.name or "".join(step.node.outputs), "  ".join(words), step.plan.cycles


def _node(node: Node) -> str:
    """The op and what became part of it."""
    fused = []
    if node.attributes.get("adds"):
        fused.append("sum")
    if node.attributes.get("activation"):
        fused.append(str(node["activation"][0]))
    if node.op == "map":
        return _words(node.attributes.get("expression", 0))
    return " + ".join([node.op, *fused])


def _words(expression: object) -> str:
    if isinstance(expression, tuple):
        return f"{expression[0]}({', '.join(map(_words, expression[1:]))})"
    return f"#{expression}" if type(expression) is int else f"{expression:g}"


def _place(operand: Operand) -> str:
    place = operand.place
    if isinstance(place, Buffer):
        return f"arena {place.offset:,}+{place.num_bytes:,}"
    return place.name if isinstance(place, Outside) else "weights"
