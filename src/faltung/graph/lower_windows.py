"""Pools as steps."""

from faltung.algorithms.pool.plan import Pool
from faltung.algorithms.pool.plan import plan as plan_pool
from faltung.graph.graph import Node
from faltung.graph.lowering import Lowering, rule
from faltung.graph.shapes import spatial_axes
from faltung.graph.stored import channels_last

KINDS = {"max": "max", "average": "mean"}


@rule("pool")
def pool(lowering: Lowering, node: Node) -> None:
    """One step over windows; what overhangs the padding counts nowhere."""
    layout, shape = node["layout"], lowering.graph.shape(node.output)
    axes, c = spatial_axes(layout), layout.index("C")
    x = lowering.read(node.inputs[0])
    if x.strides[c] != 1 and x.shape[c] > 1:
        x = lowering.channels_last(node.inputs[0], layout, node)
    y = lowering.result(node.output, channels_last(layout), inner=c)
    request = Pool(
        kind=KINDS[node["kind"]],
        num_samples=shape[layout.index("N")],
        in_size=tuple(x.shape[axis] for axis in axes),
        out_size=tuple(shape[axis] for axis in axes),
        channels=shape[c],
        kernel_size=tuple(node["kernel_size"]),
        stride=tuple(node["stride"]),
        dilation=tuple(node["dilation"]),
        low=tuple(low for low, _ in node["padding"]),
        high=tuple(high for _, high in node["padding"]),
        counts_padding=node["counts_padding"],
        x_strides=(x.strides[layout.index("N")], *(x.strides[axis] for axis in axes)),
        y_strides=(y.strides[layout.index("N")], *(y.strides[axis] for axis in axes)),
        dtype=x.dtype,
    )
    if y.size:
        lowering.step(plan_pool(request, lowering.target), node, y, {"x": x})
    lowering.deliver(node.output, y)
