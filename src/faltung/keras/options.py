"""What Keras's constructors refuse is kept from them: they get a harmless value, the layer its own afterwards."""

from typing import Any

from faltung.errors import ShapeError
from faltung.keras.request import Padding
from faltung.spec import named
from faltung.spec.geometry import resolve_padding, window_size
from faltung.spec.layout import layouts, spatial_axes
from faltung.spec.rules import per_axis


def withhold(arguments: dict[str, Any], rank: int, layer: str, *, words: tuple[str, ...]) -> dict[str, Any]:
    """Change what Keras refuses of a constructor's arguments; return the attributes that the layer gets instead.

    `words` are those for padding that Keras's layer knows.
    """
    kept: dict[str, Any] = {}
    padding = arguments.get("padding", "valid")
    is_ours = not isinstance(padding, str) or (padding.lower() == "causal" and "causal" not in words)
    with named(layer):
        if is_ours:
            kept["padding"] = _standard(padding, rank, arguments)
            arguments["padding"] = "valid"
        if _largest(arguments.get("strides", 1)) > 1 and _largest(arguments.get("dilation_rate", 1)) > 1:
            kept["dilation_rate"] = per_axis("dilation_rate", arguments["dilation_rate"], spatial_axes(rank), minimum=1)
            arguments["dilation_rate"] = 1
        if kept.get("padding") == "causal" and arguments.get("output_padding") is not None:
            got = arguments["output_padding"]
            raise ShapeError(
                f"padding 'causal' decides the size of the result; got output_padding={got!r}. Leave it out."
            )
    return kept


def _standard(padding: Any, rank: int, arguments: dict[str, Any]) -> Padding:
    """Return padding as a word or as (low, high) for each axis; "causal" needs a single axis, which is time."""
    if isinstance(padding, str) and rank == 1:
        return padding.lower()
    taps, step = (_each(arguments.get(option, 1), rank) for option in ("kernel_size", "dilation_rate"))
    windows = tuple(map(window_size, taps, step))
    return resolve_padding(padding, (0,) * rank, windows, (1,) * rank, layouts(rank)[0])


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * rank


def _largest(value: Any) -> int:
    """Return the largest entry; what is no number is left to Keras, which explains it."""
    return max((entry for entry in _each(value, 1) if isinstance(entry, int)), default=1)
