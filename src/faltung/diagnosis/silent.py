"""What runs but is probably not what was meant: warnings, each with the evidence it rests on, and none without."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from faltung.diagnosis import costs
from faltung.diagnosis.findings import Warning
from faltung.models.axes import channel_axis, spatial_axis
from faltung.models.data import Data
from faltung.models.layer import Layer, Shape
from faltung.models.program import Edits, ShapeProgram, Trace

SAMPLE = 64
"""Samples of the data that are looked at."""


def warnings(program: ShapeProgram, data: Data, trace: Trace, edits: Edits, is_faulty: bool) -> Iterator[Warning]:
    """Yield the warnings, in the order of the model."""
    first = next((step for step in trace.steps if step.layer.kind == "conv"), None)
    if first is not None and not is_faulty and _is_the_data(trace, first.input_shape, data.shape):
        yield from _of_shape(first.layer, first.input_shape)
        if data.array is not None and not data.trouble:
            yield from _of_numbers(first.layer, data)
    yield from _reshapes(trace)
    if not is_faulty:
        yield from _merged_batch(data, trace)
        yield from _other_sizes(program, data)


def _is_the_data(trace: Trace, shape: Shape, given: Shape) -> bool:
    return shape == given and all(step.layer.kind in ("same", "input", "conv") for step in trace.steps[:1])


def _of_shape(layer: Layer, shape: Shape) -> Iterator[Warning]:
    if layer.rank != 1 or len(shape) != 3:
        return
    channels, steps = shape[channel_axis(layer, shape)], shape[spatial_axis(layer, shape, 0)]
    batch = shape[0]
    if channels is None or steps is None:
        return
    if steps == 1 and layer["kernel_size"][0] > 1 and channels >= 32:
        code = "x.swapaxes(1, 2)" if layer.host != "torch" else "x.transpose(1, 2)"
        sentence = (
            f"x is one step of {channels} channels: of the "
            f"{layer['kernel_size'][0]} taps only one ever meets data, the others "
            f"meet padding. A series of {channels} steps has one channel."
        )
        yield Warning(layer.label, "one step", sentence, f"x = {code}")
    elif layer["in_channels"] is None and channels >= 8 * steps and channels > 256 and not _is_embedding(channels):
        sentence = (
            f"x is read as {steps} steps of {channels} channels, which "
            f"padding makes legal; it looks like {channels} steps of "
            f"{steps} channels."
        )
        yield Warning(layer.label, "axes swapped", sentence, "x = x.swapaxes(1, 2)")
    elif batch is not None and batch == steps and steps >= 28 and channels in (1, 3) and not layer.is_first:
        sentence = f"x {shape} looks like one image, and is read as a batch of {batch} series."
        yield Warning(layer.label, "unbatched", sentence)


def _is_embedding(channels: int) -> bool:
    """Whether a number of channels is one that people choose for features."""
    return channels % 32 == 0 or channels in (50, 100, 200, 300, 400, 600)


def _of_numbers(layer: Layer, data: Data) -> Iterator[Warning]:
    x = _sample(data)
    if x is None or x.ndim != layer.rank + 2 or not np.issubdtype(x.dtype, np.number) or x.size == 0:
        return
    x = x.astype(np.float64)
    axis = channel_axis(layer, data.shape)
    yield from _scales(layer, x, axis)
    if layer.rank != 1:
        return
    time = spatial_axis(layer, data.shape, 0)
    smooth = {"batch": _smoothness(x, 0), "steps": _smoothness(x, time), "channels": _smoothness(x, axis)}
    yield from _reshaped(layer, data, x, axis, time, smooth["steps"])
    is_rough = smooth["steps"] < costs.ROUGH
    if (
        smooth["channels"] > costs.SMOOTH
        and smooth["steps"] < costs.ROUGH
        and x.shape[axis] >= 16
        and x.shape[time] > 2
    ):
        sentence = (
            "neighbouring channels are nearly equal (correlation "
            f"{smooth['channels']:.2f}), neighbouring steps are not "
            f"({smooth['steps']:.2f}): the series seems to run along the channels."
        )
        yield Warning(layer.label, "axes swapped", sentence, "x = x.swapaxes(1, 2)")
    elif smooth["batch"] > costs.VERY_SMOOTH and is_rough and x.shape[0] >= 32 and x.shape[time] > 1:
        sentence = (
            "neighbouring samples are nearly equal (correlation "
            f"{smooth['batch']:.2f}): this looks like one recording of "
            f"{data.shape[0]} steps, read as a batch."
        )
        yield Warning(layer.label, "unbatched", sentence, "x = x[None]  # one sample")


def _sample(data: Data) -> "np.ndarray[Any, Any] | None":
    """The first samples as NumPy, without a copy of the rest."""
    part = data.array[: max(SAMPLE, 1)]
    try:
        if hasattr(part, "detach"):
            part = part.detach().cpu()
        return np.asarray(part)
    except (TypeError, ValueError, RuntimeError):
        return None


def _smoothness(x: "np.ndarray[Any, Any]", axis: int) -> float:
    """Correlation of neighbours along an axis, the mean of each series taken away."""
    if x.shape[axis] < 8:
        return 0.0
    x = np.moveaxis(x, axis, -1)
    x = x - x.mean(-1, keepdims=True)
    power = float((x * x).sum())
    return float((x[..., 1:] * x[..., :-1]).sum()) / power if power > 0 else 0.0


def _reshaped(
    layer: Layer, data: Data, x: "np.ndarray[Any, Any]", axis: int, time: int, smooth: float
) -> Iterator[Warning]:
    """Data whose axes were exchanged by reshape, which shuffles the numbers, where a transpose was needed."""
    before = _base(data)
    exchanged = [*data.shape]
    exchanged[axis], exchanged[time] = exchanged[time], exchanged[axis]
    code = "x = original.transpose(1, 2)" if data.host == "torch" else "x = original.swapaxes(1, 2)"
    both = data.shape[axis] != data.shape[time] and min(data.shape[axis] or 0, data.shape[time] or 0) > 1
    if both and before == tuple(exchanged):
        sentence = (
            f"x is an array of shape {before} reshaped to {data.shape}: that mixes steps and channels; transpose it."
        )
        yield Warning(layer.label, "reshape for transpose", sentence, code)
    elif both and smooth < costs.ROUGH:
        other = (
            x.reshape(x.shape[0], x.shape[time], x.shape[axis])
            if axis < time
            else x.reshape(x.shape[0], x.shape[axis], x.shape[time])
        )
        along = _smoothness(other, 1)
        if along > costs.SMOOTH:
            sentence = (
                f"along its steps x jumps (correlation {smooth:.2f}); "
                f"read as {tuple(exchanged)} in memory it is smooth "
                f"({along:.2f}): it seems to have been reshaped where a transpose was needed."
            )
            yield Warning(layer.label, "reshape for transpose", sentence, code)


def _base(data: Data) -> Shape | None:
    """The shape of the array that this one is a reshaped view of."""
    base = getattr(data.array, "base" if data.host == "numpy" else "_base", None)
    if base is None or not hasattr(base, "shape"):
        return None
    is_plain = data.array.flags.c_contiguous if data.host == "numpy" else data.array.is_contiguous()
    is_base_plain = base.flags.c_contiguous if data.host == "numpy" else base.is_contiguous()
    return tuple(base.shape) if is_plain and is_base_plain else None


def _scales(layer: Layer, x: "np.ndarray[Any, Any]", axis: int) -> Iterator[Warning]:
    others = tuple(at for at in range(x.ndim) if at != axis)
    if x.shape[axis] < 2 or not np.isfinite(x).all():
        return
    spread = np.sqrt((x * x).mean(others))
    spread = spread[spread > 0]
    if len(spread) > 1 and spread.max() > 1000 * spread.min():
        sentence = (
            f"the channels have very different sizes, {spread.min():.3g} "
            f"to {spread.max():.3g} (root mean square): the small ones "
            "will hardly be learned from. Normalise each channel."
        )
        keep = ", ".join(map(str, others))
        yield Warning(layer.label, "scales", sentence, f"x = (x - x.mean(({keep}))) / x.std(({keep}))  # keepdims")


def _reshapes(trace: Trace) -> Iterator[Warning]:
    """Reshape layers that exchange two axes: the sizes come out right, the numbers are mixed."""
    for step in trace.steps:
        if step.layer.kind not in ("reshape", "other") or None in step.input_shape[1:]:
            continue
        if step.layer.kind == "other" and step.layer.type_name not in ("Unflatten", "Reshape", "View"):
            continue
        before = [size for size in step.input_shape[1:] if size != 1]
        after = [size for size in step.output_shape[1:] if size != 1]
        if len(before) > 1 and before != after and sorted(map(str, before)) == sorted(map(str, after)):
            sentence = (
                f"it reshapes {tuple(step.input_shape)} to "
                f"{tuple(step.output_shape)}: that mixes the axes; permute them."
            )
            yield Warning(
                step.layer.label,
                "reshape for transpose",
                sentence,
                "keras.layers.Permute((2, 1))" if step.layer.host == "keras" else "x.transpose(1, 2)",
            )


def _merged_batch(data: Data, trace: Trace) -> Iterator[Warning]:
    """A flatten or view that changes how many samples there are."""
    for step in trace.steps:
        if (
            step.layer.kind == "flatten"
            and step.layer["start"] == 0
            and len(step.input_shape) > 1
            and step.input_shape[0] != 1
        ):
            yield Warning(step.layer.label, "batch merged", "it flattens the batch too.", "nn.Flatten()")
            return
    if trace.refused is not None or not trace.steps or len(data.shape) < 3:
        return
    batch, last = data.shape[0], trace.steps[-1]
    dense = next((step for step in trace.steps if step.layer.kind == "linear"), None)
    out = last.output_shape[0] if last.output_shape else None
    if batch and batch > 1 and dense and len(last.output_shape) == 2 and out != batch:
        first = trace.steps[0]
        if first.layer.kind == "conv" and first.input_shape[0] == batch and dense.input_shape[0] == out:
            sentence = (
                f"{batch} samples go in and {out} rows come to it: a view or reshape merged the batch with other axes."
            )
            yield Warning(dense.layer.label, "batch merged", sentence, "x = x.flatten(1)")


def _other_sizes(program: ShapeProgram, data: Data) -> Iterator[Warning]:
    """Data that a spec could take, in another batch or length than it says."""
    spec = program.layers[0].source if program.host == "faltung" and program.layers else None
    shape = getattr(spec, "input_shape", None)
    if shape is not None and shape != data.shape:
        yield Warning(
            program.name, "sizes", f"the spec is for x {shape}, the data is {data.shape}: compile the spec of the data."
        )
