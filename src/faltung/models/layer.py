"""One layer, of any framework, in our words: a kind, its numbers, and what each axis of its input is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from faltung.spec.geometry import same_pair, window_size

SPATIAL = {0: (), 1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
Size = int | None
Shape = tuple[Size, ...]
"""Sizes; None for one that nobody knows yet, as the batch of a Keras input."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a layer wants on one axis: its name, the one size it takes (None: any), and the least."""

    name: str
    size: Size = None
    least: int = 1

    @property
    def is_spatial(self) -> bool:
        """Whether a window slides along it."""
        return any(self.name in names for names in SPATIAL.values())

    def takes(self, size: Size) -> bool:
        """Whether an axis of this size can play the role."""
        return size is None or ((self.size is None or size == self.size) and size >= self.least)

    def wanted(self) -> str:
        """The sizes that will do, in words."""
        if self.size is not None:
            return str(self.size)
        return f"{self.least} or more" if self.least > 1 else "any"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: where it is, whose it is, and its numbers in our words.

    Arguments:
        path: its name in the model, "" for a layer alone.
        host: "torch", "keras", "jax", "tensorflow", "onnx" or "faltung".
        type_name: its class or function, as the user writes it.
        kind: "conv", "conv_transpose", "pool", "global_pool", "linear", "flatten", "norm", "recurrent", "embedding",
            "input", "pad", "upsample", "repeat", "permute", "reshape", "same" (shape unchanged) or "other".
        rank: number of spatial axes.
        is_first: channels first.
        options: numbers by our names (in_channels, kernel_size, …); tuples for each axis.
        source: the object itself.
    """

    path: str
    host: str
    type_name: str
    kind: str
    rank: int = 0
    is_first: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    source: Any = None

    def __getitem__(self, name: str) -> Any:
        return self.options.get(name)

    def change(self, **changes: Any) -> "Layer":
        """Return the layer with other options; ``rank``, ``type_name`` and ``is_first`` are said alike."""
        own = {name: changes.pop(name) for name in ("rank", "type_name", "is_first") if name in changes}
        return replace(self, options={**self.options, **changes}, **own)

    @property
    def label(self) -> str:
        """How a message names it."""
        if self.kind == "view":
            return self.type_name
        where = {"torch": "model[{}]" if self.path.isdigit() else "model.{}"}.get(self.host, "{}").format(self.path)
        return f"{self.type_name} ({where})" if self.path else self.type_name

    @property
    def spatial(self) -> tuple[str, ...]:
        """The names of the spatial axes."""
        return SPATIAL[self.rank]

    @property
    def window(self) -> tuple[int, ...]:
        """How many inputs the window spans on each axis."""
        dilation = self["dilation"] or (1,) * self.rank
        return tuple(window_size(k, d) for k, d in zip(self["kernel_size"], dilation, strict=True))

    def pairs(self, sizes: Shape) -> tuple[tuple[int, int], ...]:
        """The padding of each axis at both ends; word paddings need the sizes."""
        padding = self["padding"]
        if padding is None or padding == "valid":
            return ((0, 0),) * self.rank
        if padding == "causal":
            return ((self.window[0] - 1, 0),)
        if isinstance(padding, str):
            rows = zip(sizes, self.window, self["stride"], strict=True)
            odd_at_low = padding == "same_lower"
            return tuple(same_pair(size or k, k, step, odd_at_low=odd_at_low) for size, k, step in rows)
        return tuple(padding)

    def least(self, axis: int) -> int:
        """The shortest input on a spatial axis that gives an output."""
        if self.kind not in ("conv", "pool") or self["kernel_size"] is None or len(self["kernel_size"]) != self.rank:
            return 1
        if isinstance(self["padding"], str) and self["padding"] != "valid":
            return 1
        low, high = self.pairs((None,) * self.rank)[axis]
        return max(self.window[axis] - low - high, 1)

    def roles(self) -> tuple[Role, ...] | None:
        """What each axis of the input must be; None where any shape will do."""
        batch = Role("batch")
        if self.kind == "input":
            names = self["names"]
            return tuple(Role(name, size) for name, size in zip(names, self["sizes"], strict=True))
        if self.kind in ("conv", "conv_transpose", "pool", "global_pool", "upsample", "pad") or (
            self.kind == "norm" and self.rank
        ):
            channels = Role("channels", self["in_channels"])
            places = tuple(Role(name, None, self.least(axis)) for axis, name in enumerate(self.spatial))
            return (batch, channels, *places) if self.is_first else (batch, *places, channels)
        if self.kind == "linear":
            return (batch, Role("features", self["in_channels"]))
        if self.kind == "recurrent":
            steps, features = Role("steps"), Role("features", self["in_channels"])
            return (batch, steps, features) if self["batch_first"] else (steps, batch, features)
        return None


def with_names(layers: list[Layer]) -> list[Layer]:
    """Give the axes of the Input the names that the first layer with named axes calls them."""
    roles = next((layer.roles() for layer in layers if layer.kind != "input" and layer.roles()), None)
    named = []
    for layer in layers:
        if layer.kind == "input":
            count = len(layer["sizes"])
            names = [role.name for role in roles] if roles else []
            if len(names) != count:
                names = ["batch", *(f"axis {axis}" for axis in range(1, count))]
            layer = layer.change(names=tuple(names))
        named.append(layer)
    return named


def show_shape(shape: Shape | None) -> str:
    """Return a shape as Python prints it, ? for sizes that nobody knows.

    >>> show_shape((None, 3))
    '(?, 3)'
    """
    if shape is None:
        return "?"
    body = ", ".join("?" if size is None else str(size) for size in shape)
    return f"({body},)" if len(shape) == 1 else f"({body})"


def show_product(sizes: Shape) -> str:
    """Return sizes as a product.

    >>> show_product((32, 48))
    '32×48'
    """
    return "×".join(map(str, sizes))


def short(values: tuple[Any, ...]) -> Any:
    """Return numbers of each axis as people write them: one where all are the same.

    >>> short((3, 3)), short((3, 5))
    (3, (3, 5))
    """
    return values[0] if len(set(values)) == 1 else values
