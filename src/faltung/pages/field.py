"""The receptive field: which part of each layer an output depends on, traced back from layer to layer.

The page does the same in trace.js; tests compare both with gradients of the model itself.
"""

from typing import Any

Range = tuple[int, int]


def last_with_sizes(nodes: list[dict[str, Any]]) -> int:
    """Return the last node that has positions."""
    return max(at for at, node in enumerate(nodes) if node["sizes"] or at == 0)


def traced(nodes: list[dict[str, Any]], chosen: int, position: int, axis: int) -> dict[int, Range]:
    """Return the range of every node that output ``position`` of node ``chosen`` depends on, along one axis.

    >>> window = {"kind": "window", "window": [3], "stride": [2], "low": [1]}
    >>> nodes = [{"sizes": [9], "rule": None, "sources": []}, {"sizes": [5], "rule": window, "sources": [0]}]
    >>> traced(nodes, 1, 2, 0)
    {1: (2, 2), 0: (3, 5)}
    """
    seen: dict[int, Range] = {chosen: (position, position)}
    for at in range(chosen, 0, -1):
        if at not in seen:
            continue
        for source in nodes[at]["sources"]:
            low, high = _before(nodes[at]["rule"], seen[at], axis, _count(nodes[source], axis))
            known = seen.get(source, (low, high))
            seen[source] = min(known[0], low), max(known[1], high)
    return seen


def _before(rule: dict[str, Any], seen: Range, axis: int, count: int) -> Range:
    """What a range of outputs sees of the inputs, cut to those that there are."""
    low, high = seen
    if rule["kind"] == "same":
        return low, high
    if rule["kind"] == "all":
        return 0, count - 1
    window, stride, pad = rule["window"][axis], rule["stride"][axis], rule["low"][axis]
    if rule["kind"] == "window":
        first, last = low * stride - pad, high * stride - pad + window - 1
    else:
        first, last = -((window - 1 - low - pad) // stride), (high + pad) // stride
    first, last = max(first, 0), min(last, count - 1)
    return min(first, last), max(first, last)


def _count(node: dict[str, Any], axis: int) -> int:
    return int(node["sizes"][axis]) if node["sizes"] else 1


def placed(nodes: list[dict[str, Any]], axis: int) -> list[tuple[float, float]]:
    """Return for each node how many inputs of the model lie between two outputs, and where its first one lies."""
    whole = _count(nodes[0], axis)
    places: list[tuple[float, float]] = [(1.0, 0.0)]
    for node in nodes[1:]:
        jump, start = places[node["sources"][0]]
        rule = node["rule"]
        if rule["kind"] in ("window", "spread"):
            window, stride, low = rule["window"][axis], rule["stride"][axis], rule["low"][axis]
            middle = (window - 1) / 2 - low
            is_window = rule["kind"] == "window"
            places.append(
                (jump * stride, start + jump * middle) if is_window else (jump / stride, start - jump * middle / stride)
            )
        elif rule["kind"] == "same":
            places.append((jump, start))
        else:
            places.append((whole / _count(node, axis), (whole / _count(node, axis) - 1) / 2))
    return places
