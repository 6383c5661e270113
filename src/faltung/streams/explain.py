"""A stream in words: each layer along time, then what the whole costs in time and memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faltung.streams.stream import Stream


def explain(stream: "Stream") -> str:
    """A line for each layer."""
    flows, now = stream.flows, stream.steady_moment
    names = [*flows.graph.inputs, *(flow.node.output for flow in flows.nodes)]
    ops = ["input"] * len(flows.graph.inputs) + [flow.node.op for flow in flows.nodes]
    layers = ["", *[""] * (len(flows.graph.inputs) - 1), *(flow.node.name for flow in flows.nodes)]
    rows = [("layer", "rate", "looks ahead", "field", "keeps", "bytes")]
    for name, op, layer in zip(names, ops, layers, strict=True):
        span = flows.spans[name]
        kept, num_bytes = now.kept(name), stream.kept_bytes(name)
        field = int(span.last - span.first) + 1
        rows.append(
            (f"{layer or name} {op}", str(span.rate), f"{float(span.last):g}", str(field), str(kept), f"{num_bytes:,}")
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            f"delay {stream.delay:g}, latency {stream.latency:g}, receptive field {stream.receptive_field:,} inputs; "
            f"the first output after {stream.min_input:,}; {stream.state_bytes:,} bytes kept between chunks",
        ]
    )
