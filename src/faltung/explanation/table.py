"""A model as a table: for each layer its shape, how far one output sees, the distance of outputs, numbers and work."""

from collections.abc import Sequence

from faltung.explanation.counts import multiplications, parameters
from faltung.models.layer import Layer, Shape, show_shape
from faltung.models.program import Step

HEADINGS = ("layer", "output", "receptive field", "jump", "parameters", "multiplications")


def tabulate(name: str, steps: Sequence[Step], shape: Shape) -> str:
    """Return the table as text.

    The receptive field counts the inputs of the model that one output depends on, the jump how many inputs lie between
    neighbouring outputs; a layer with window k and stride s makes them r + (k - 1)*j and j*s.
    """
    rows = [HEADINGS, ("x", show_shape(shape), "", "", "", "")]
    field: tuple[int, ...] = ()
    jump: tuple[int, ...] = ()
    is_global = False
    total = [0, 0]
    for step in steps:
        layer = step.layer
        if layer.rank and layer.kind in ("conv", "pool"):
            if len(field) != layer.rank:
                field, jump = (1,) * layer.rank, (1,) * layer.rank
            field, jump = _grown(layer, field, jump)
        elif layer.kind in ("global_pool", "flatten", "recurrent"):
            is_global = True
        work = multiplications(layer, step.input_shape, step.output_shape)
        count = parameters(layer, step.input_shape)
        total = [total[0] + count, total[1] + work]
        seen = "all" if is_global else "×".join(map(str, field))
        apart = "" if is_global else "×".join(map(str, jump))
        label = f"{layer.path} {layer.type_name}".strip()
        rows.append((label, show_shape(step.output_shape), seen, apart, f"{count:,}", f"{work:,}"))
    rows.append(("total", "", "", "", f"{total[0]:,}", f"{total[1]:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [f"{name}: x {show_shape(shape)}", ""]
    for row in rows:
        cells = [
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _grown(layer: Layer, field: tuple[int, ...], jump: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rows = list(zip(field, jump, layer.window, layer["stride"], strict=True))
    return tuple(r + (k - 1) * j for r, j, k, _ in rows), tuple(j * s for _, j, _, s in rows)
