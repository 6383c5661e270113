"""Convolutions on arrays against the oracle: the whole space of specs, all ways to lie in memory, and the algebra."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import Array, assert_is_right, call, python, repro, resized
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung.bench import suite
from faltung.spec.geometry import window_size
from faltung.spec.layout import kernel_layouts, layouts

SEEDS = st.integers(0, 2**32 - 1)
LINEAR = conv_specs(activations=[None], precisions=["exact"], max_macs=50_000)
NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def quick(max_examples: int) -> settings:
    return settings(max_examples=max_examples, deadline=None)


# --- the whole space


@quick(250)
@given(conv_specs(), SEEDS)
def test_every_spec_is_within_the_bound(spec: ft.ConvSpec, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for sized in (spec, resized(spec, rng), resized(spec, rng)):
        arrays, line = random_arrays(sized, seed), repro(sized, seed)
        y = call(sized, *arrays)
        assert_is_right(y, sized, *arrays, line)
        assert not any(array is not None and np.shares_memory(y, array) for array in arrays), line
        assert ft.compile(sized)(*arrays).tobytes() == y.tobytes(), line


@quick(150)
@given(conv_specs(activations=[None, "relu"], precisions=["exact"]), SEEDS)
def test_small_integers_are_exact(spec: ft.ConvSpec, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for sized in (spec, resized(spec, rng), resized(spec, rng)):
        arrays = random_arrays(sized, seed, integers=True)
        assert_is_right(call(sized, *arrays), sized, *arrays, repro(sized, seed, integers=True), exact=True)


@quick(60)
@given(conv_specs(max_macs=50_000), SEEDS)
def test_conv_takes_the_rank_from_the_kernel(spec: ft.ConvSpec, seed: int) -> None:
    arrays = random_arrays(spec, seed)
    options = {name: getattr(spec, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")}
    layout = {"layout": spec.layout, "kernel_layout": spec.kernel_layout}
    y = ft.conv(*arrays, **options, **layout)
    assert y.tobytes() == call(spec.replace(activation=None), *arrays).tobytes(), repro(spec, seed)


@quick(150)
@given(
    conv_specs(activations=[None, "relu", "leaky_relu", "tanh", "gelu", "hard_sigmoid"], precisions=["exact"]), SEEDS
)
def test_nan_and_infinity_go_through(spec: ft.ConvSpec, seed: int) -> None:
    arrays = random_arrays(spec, seed)
    rng = np.random.default_rng(seed)
    for array in arrays:
        if array is not None and array.size and rng.integers(2):
            places = rng.integers(array.size, size=2)
            array.flat[places] = rng.choice([np.nan, np.inf, -np.inf], 2)
    assert_is_right(call(spec, *arrays), spec, *arrays, repro(spec, seed, special=True))


def smaller(spec: ft.ConvSpec) -> ft.ConvSpec:
    """Return `spec` with at most 2 samples, and lengths of a few windows: the same kernel, in a moment."""
    sizes = [
        min(size, window + 20 * stride + 3)
        for size, window, stride in zip(spec.in_size, spec.effective_kernel, spec.stride, strict=True)
    ]
    return spec.replace(in_size=tuple(sizes), batch=min(spec.num_samples, 2))


@pytest.mark.parametrize("is_last", [True, False], ids=["last", "first"])
@pytest.mark.parametrize("name, text", suite.load("core").items(), ids=list(suite.load("core")))
def test_the_shapes_of_the_benchmark_are_right(name: str, text: str, is_last: bool) -> None:
    spec = smaller(ft.ConvSpec.from_text(text))
    spec = spec.replace(layout=layouts(spec.rank)[0 if is_last else 1], bias=True)
    for out_channels in {spec.out_channels, *([64] if spec.groups == 1 and spec.out_channels > 64 else [])}:
        sized = spec.replace(out_channels=out_channels)
        arrays = random_arrays(sized)
        assert_is_right(call(sized, *arrays), sized, *arrays, repro(sized, 0))


# --- how arrays lie in memory: a function makes an array that equals the given one


def part(axis: int, where: slice, more: int, times: int = 1) -> Callable[[Array], Array]:
    """`where` along an axis of a longer array, the rest NaN."""

    def lay(array: Array) -> Array:
        shape, window = list(array.shape), [slice(None)] * array.ndim
        shape[axis % array.ndim] = times * shape[axis % array.ndim] + more
        window[axis % array.ndim] = where
        view = np.full(shape, np.nan, array.dtype)[tuple(window)]
        view[...] = array
        return view

    return lay


def sliced(axis: int) -> Callable[[Array], Array]:
    return part(axis, slice(1, None, 2), more=1, times=2)


def margin(axis: int) -> Callable[[Array], Array]:
    return part(axis, slice(2, -3), more=5)


def reverse(axis: int) -> Callable[[Array], Array]:
    return lambda array: np.flip(np.flip(array, axis % array.ndim).copy(), axis % array.ndim)


def unaligned(array: Array) -> Array:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


MEMORY: dict[str, Callable[[Array], Array]] = {
    "sliced batch": sliced(0),
    "sliced time": sliced(1),
    "sliced last axis": sliced(-1),
    "margins of the batch": margin(0),
    "margins of time": margin(1),
    "margins of the last axis": margin(-1),
    "transposed": lambda array: array.T.copy().T,
    "first axis last": lambda array: np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0),
    "last axis first": lambda array: np.moveaxis(np.moveaxis(array, -1, 0).copy(), 0, -1),
    "reversed batch": reverse(0),
    "reversed time": reverse(1),
    "reversed last axis": reverse(-1),
    "Fortran": np.asfortranarray,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "big-endian, sliced": lambda array: sliced(0)(array.astype(array.dtype.newbyteorder(">"))),
    "unaligned": unaligned,
    "read-only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "a list": lambda array: array,  # turned into lists below: only float64 survives it
}


@quick(250)
@given(conv_specs(max_macs=50_000), SEEDS, st.data())
def test_arrays_may_lie_in_memory_as_they_like(spec: ft.ConvSpec, seed: int, data: st.DataObject) -> None:
    arrays = random_arrays(spec, seed)
    ways = [data.draw(st.sampled_from(sorted(MEMORY)), label=name) for name in ("x", "kernel", "bias")]
    laid: list[Any] = []
    for way, array in zip(ways, arrays, strict=True):
        laid.append(None if array is None else MEMORY[way](array))
        if way == "a list" and array is not None and spec.dtype == "float64" and array.size:
            laid[-1] = array.tolist()
    line = repro(spec, seed, memory=ways)
    first, again = call(spec, *laid), call(spec, *laid)
    assert_is_right(first, spec, *arrays, line)
    assert first.tobytes() == again.tobytes(), line
    if not any(isinstance(array, list) for array in laid):
        assert ft.compile(spec)(*laid).tobytes() == first.tobytes(), line


@quick(100)
@given(conv_specs(max_macs=50_000, channels_last=True), SEEDS, st.data())
def test_leading_axes_that_merge_or_do_not_or_repeat(spec: ft.ConvSpec, seed: int, data: st.DataObject) -> None:
    assume(0 not in spec.batch)
    x, kernel, bias = random_arrays(spec, seed)
    is_repeated = [data.draw(st.booleans(), label=f"axis {axis} is broadcast") for axis in range(len(spec.batch))]
    for axis, repeats in enumerate(is_repeated):
        if repeats:
            x = np.broadcast_to(x.take([0], axis), x.shape)
        elif data.draw(st.booleans(), label=f"axis {axis} is sliced"):
            x = sliced(axis)(x) if not any(is_repeated) else x
    order = data.draw(st.permutations(range(len(spec.batch))), label="order of the leading axes")
    rest = range(len(spec.batch), x.ndim)
    turned = spec.replace(batch=tuple(spec.batch[axis] for axis in order))
    x = x.transpose(*order, *rest)
    line = repro(turned, seed, broadcast=is_repeated, order=order)
    assert_is_right(call(turned, x, kernel, bias), turned, x, kernel, bias, line)


@quick(100)
@given(conv_specs(max_macs=50_000), SEEDS, st.sampled_from(sorted(set(MEMORY) - {"read-only", "a list"})))
def test_out_may_lie_in_memory_as_it_likes(spec: ft.ConvSpec, seed: int, way: str) -> None:
    assume("big-endian" not in way)
    arrays, line = random_arrays(spec, seed), repro(spec, seed, out=way)
    out = MEMORY[way](np.full(spec.output_shape, np.nan, spec.dtype))
    assert call(spec, *arrays, out=out) is out
    assert_is_right(out, spec, *arrays, line)
    out[...] = np.nan
    assert ft.compile(spec)(*arrays, out=out) is out
    assert_is_right(out, spec, *arrays, line)


def test_a_call_with_lists() -> None:
    y = ft.conv1d([[[1.0], [2.0], [4.0]]], [[[1.0]], [[-1.0]]])
    np.testing.assert_array_equal(y, [[[-1.0], [-2.0]]])


def test_only_true_arrays_take_the_short_way() -> None:
    """Once crashed: what has shape, strides and dtype, as CuPy's arrays have, went to the kernel as NumPy's."""
    done = python("""
import numpy as np, faltung as ft

class Lookalike:
    def __init__(self, array):
        self.array, self.shape, self.strides, self.dtype = array, array.shape, array.strides, array.dtype

    def __array__(self, dtype=None, copy=None):
        return self.array

arrays = np.ones((2, 10, 3)), np.ones((3, 3, 4)), np.ones(4)
expected = ft.conv1d(*arrays)
np.testing.assert_array_equal(ft.conv1d(*map(Lookalike, arrays)), expected)
""")
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"


def test_subclasses_of_ndarray_are_read_as_arrays(tmp_path: Any) -> None:
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(2, 10, 3))
    x[...] = 1.0
    kernel = np.ones((3, 3, 4))
    for _ in range(2):
        y = ft.conv1d(x, kernel)
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(y, np.full((2, 8, 4), 9.0))


# --- the memory of results


@quick(20)
@given(SEEDS)
def test_results_that_are_still_in_use_are_never_handed_out_again(seed: int) -> None:
    """Results large enough to be recycled; some die, some live on as a view."""
    rng = np.random.default_rng(seed)
    kernel = np.ones((1, 1, 16), "f4")
    alive: dict[int, Array] = {}
    for number in range(40):
        length = int(rng.choice([1024, 1040, 2048]))
        y = ft.conv1d(np.full((1, length, 1), number, "f4"), kernel)
        how = rng.integers(4)
        alive[number] = (y, y[0, 7::3, 5], np.frombuffer(y, np.float32), y.reshape(-1)[::-1].view("f4"))[how]
        del y
        for gone in rng.choice(list(alive), size=rng.integers(0, 3)):
            alive.pop(gone, None)
        for value, array in alive.items():
            assert np.all(array == value), f"seed={seed}: the result of call {value} was overwritten by call {number}"


# --- the same bits

PARALLEL = [
    "conv1d n4 w3000 ic32 oc48 kw5 same bias gelu f32",
    "conv1d n1 w20001 ic3 oc17 kw7 sw2 pw3 reflect f32",
    "conv1d n3 w4001 ic16 oc33 kw3 dw4 same ncw oiw bias f32",
    "conv1d n1 w60000 ic1 oc1 kw101 f64",
    "conv1d n2 w2000 ic64 oc64 kw3 g8 circular pw1 f64",
    "conv1d n40 w11 ic64 oc64 kw3 same ncw f32",
    "conv1d n1 w16 ic512 oc1000 kw3 same f32",
    "conv2d n2 h61 w63 ic16 oc32 kh3 kw3 same relu f32",
    "conv2d n2 h61 w63 ic16 oc32 kh3 kw3 sh2 ph1 pw1:2 replicate nchw bias silu f32",
    "conv2d n1 h57 w55 ic48 oc48 kh3 kw3 g48 same nchw f32",
    "conv3d n1 d13 h17 w19 ic8 oc24 kd3 kh3 kw3 same f32",
    "conv3d n1 d13 h17 w19 ic8 oc24 kd3 kh3 kw3 same ncdhw f64",
]


@pytest.mark.parametrize("text", PARALLEL)
def test_bits_do_not_depend_on_the_number_of_threads(text: str) -> None:
    spec = ft.ConvSpec.from_text(text)
    arrays = random_arrays(spec)
    before = ft.get_num_threads()
    try:
        ft.set_num_threads(1)
        serial = call(spec, *arrays)
        assert_is_right(serial, spec, *arrays, repro(spec, 0))
        plan = ft.compile(spec).plan
        assert plan is not None and plan.num_tasks > 1, "too small to be shared"
        for num_threads in (1, 2, 3, 8):
            ft.set_num_threads(num_threads)
            for _ in range(5):
                assert call(spec, *arrays).tobytes() == serial.tobytes(), repro(spec, 0, threads=num_threads)
    finally:
        ft.set_num_threads(before)


# --- the algebra, exact in small integers


def integer_arrays(spec: ft.ConvSpec, seed: int) -> tuple[Array, Array, Array | None]:
    return random_arrays(spec, seed, integers=True)


def spatial(spec: ft.ConvSpec) -> range:
    """Return the numbers of the spatial axes of x and y."""
    first = len(spec.batch) + (not spec.is_channels_last)
    return range(first, first + spec.rank)


@quick(80)
@given(LINEAR, SEEDS)
def test_linear_in_x_and_in_the_kernel(spec: ft.ConvSpec, seed: int) -> None:
    spec, line = spec.replace(bias=False), repro(spec, seed)
    (x, kernel, _), (x2, kernel2, _) = integer_arrays(spec, seed), integer_arrays(spec, seed + 1)
    y = call(spec, x, kernel)
    np.testing.assert_array_equal(call(spec, 2 * x - 3 * x2, kernel), 2 * y - 3 * call(spec, x2, kernel), line)
    np.testing.assert_array_equal(call(spec, x, 2 * kernel - kernel2), 2 * y - call(spec, x, kernel2), line)


@quick(80)
@given(LINEAR, SEEDS)
def test_a_shifted_input_shifts_the_result(spec: ft.ConvSpec, seed: int) -> None:
    spec = spec.replace(padding="valid", in_size=tuple(map(max, spec.in_size, spec.effective_kernel)))
    axis, step = spatial(spec)[-1], spec.stride[-1]
    longer = spec.replace(in_size=(*spec.in_size[:-1], spec.in_size[-1] + step))
    x, kernel, bias = integer_arrays(longer, seed)
    window = [slice(None)] * x.ndim
    window[axis] = slice(step, None)
    shifted = call(spec, x[tuple(window)], kernel, bias)
    window[axis] = slice(1, None)
    np.testing.assert_array_equal(shifted, call(longer, x, kernel, bias)[tuple(window)], repro(longer, seed))


@quick(80)
@given(LINEAR, SEEDS)
def test_dilation_is_a_kernel_stuffed_with_zeros(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, bias = integer_arrays(spec, seed)
    dense = spec.replace(dilation=1, kernel_size=tuple(map(window_size, spec.kernel_size, spec.dilation)))
    stuffed = np.zeros(dense.kernel_shape, spec.dtype)
    steps = [slice(None, None, dilation) for dilation in spec.dilation]
    channels = [slice(None)] * 2
    stuffed[tuple(channels + steps if spec.kernel_layout.startswith("O") else steps + channels)] = kernel
    np.testing.assert_array_equal(call(spec, x, kernel, bias), call(dense, x, stuffed, bias), repro(spec, seed))


@quick(80)
@given(LINEAR, SEEDS)
def test_groups_are_convolutions_side_by_side(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, bias = integer_arrays(spec, seed)
    one = spec.replace(
        groups=1, in_channels=spec.in_channels // spec.groups, out_channels=spec.out_channels // spec.groups
    )
    axis = -1 if spec.is_channels_last else 1
    kernels = np.split(kernel, spec.groups, 0 if spec.kernel_layout.startswith("O") else -1)
    biases = [None] * spec.groups if bias is None else np.split(bias, spec.groups)
    parts = map(call, [one] * spec.groups, np.split(x, spec.groups, axis), kernels, biases)
    np.testing.assert_array_equal(call(spec, x, kernel, bias), np.concatenate(list(parts), axis), repro(spec, seed))


@quick(80)
@given(LINEAR, SEEDS)
def test_stride_keeps_every_so_many_results(spec: ft.ConvSpec, seed: int) -> None:
    assume(0 not in spec.in_size)  # "same" of nothing is nothing, also where a window does not fit
    arrays = integer_arrays(spec, seed)
    window = [slice(None)] * len(spec.output_shape)
    for axis, stride in zip(spatial(spec), spec.stride, strict=True):
        window[axis] = slice(None, None, stride)
    every = call(spec.replace(stride=1), *arrays)[tuple(window)]
    np.testing.assert_array_equal(call(spec, *arrays), every, repro(spec, seed))


@quick(80)
@given(LINEAR, SEEDS)
def test_padding_is_a_padded_input(spec: ft.ConvSpec, seed: int) -> None:
    assume(0 not in spec.in_size)  # as above
    x, kernel, bias = integer_arrays(spec, seed)
    pairs = dict(zip(spatial(spec), spec.padding, strict=True))
    by_axis = [pairs.get(axis, (0, 0)) for axis in range(x.ndim)]
    padded = np.pad(x, by_axis, NUMPY_MODES[spec.padding_mode])  # type: ignore[call-overload]
    in_size = tuple(padded.shape[axis] for axis in spatial(spec))
    plain = spec.replace(padding="valid", padding_mode="zeros", in_size=in_size)
    np.testing.assert_array_equal(call(spec, x, kernel, bias), call(plain, padded, kernel, bias), repro(spec, seed))


@quick(80)
@given(LINEAR, SEEDS)
def test_all_layouts_agree(spec: ft.ConvSpec, seed: int) -> None:
    spec = spec.replace(
        batch=spec.num_samples, layout=layouts(spec.rank)[0], kernel_layout=kernel_layouts(spec.rank)[0]
    )
    x, kernel, bias = integer_arrays(spec, seed)
    expected = call(spec, x, kernel, bias)
    for layout in layouts(spec.rank):
        for kernel_layout in kernel_layouts(spec.rank):
            other = spec.replace(layout=layout, kernel_layout=kernel_layout)
            x_ = x if other.is_channels_last else np.moveaxis(x, -1, 1)
            kernel_ = kernel if kernel_layout.endswith("IO") else np.moveaxis(kernel, (-1, -2), (0, 1))
            y = call(other, x_, kernel_, bias)
            y = y if other.is_channels_last else np.moveaxis(y, 1, -1)
            np.testing.assert_array_equal(y, expected, repro(other, seed))


# --- by hand


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_image_of_cs231n_without_bias(layout: str) -> None:
    """The classroom demo adds bias 1 to its first filter; these numbers are the ones without a bias."""
    red = [[0, 0, 1, 0, 2], [1, 0, 2, 0, 1], [1, 0, 2, 2, 0], [2, 0, 0, 2, 0], [2, 1, 2, 2, 0]]
    green = [[2, 1, 2, 1, 1], [2, 1, 2, 0, 1], [0, 2, 1, 0, 1], [1, 2, 2, 2, 2], [0, 1, 2, 0, 1]]
    blue = [[2, 1, 1, 2, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1, 0, 2, 1, 0], [2, 2, 1, 1, 1]]
    kernel = [
        [[0, 1, -1], [0, -1, 0], [0, -1, 1]],
        [[-1, 0, 0], [1, -1, 0], [1, -1, 0]],
        [[-1, 1, -1], [0, -1, -1], [1, 0, 0]],
    ]
    x = np.array([[red, green, blue]], "f4")
    x = x if layout == "NCHW" else np.moveaxis(x, 1, -1)
    y = ft.conv2d(x, np.array([kernel], "f4"), stride=2, padding=1, layout=layout, kernel_layout="OIHW")
    y = y[0, 0] if layout == "NCHW" else y[0, :, :, 0]
    np.testing.assert_array_equal(y, [[-8, -8, -3], [-3, 1, 0], [-3, -8, -5]])


@pytest.mark.parametrize("layout", ["NWC", "NCW"])
def test_sentence_of_six_words(layout: str) -> None:
    sentence = np.array([7, 4, 5, 2, -1, 1, -5, 4, 1, 6, 3, 5, 3, -1, 2, -5, 4, 1]).reshape(1, 6, 3) / 10
    kernel = np.array([[0.6, 0.4, 0.5], [0.2, -0.1, 0.2]])[..., None]
    x = sentence if layout == "NWC" else np.moveaxis(sentence, -1, 1)
    y = ft.conv1d(x, kernel, stride=2, layout=layout)
    np.testing.assert_allclose(y.ravel(), [0.9, 0.1, 0.12], rtol=1e-14)


@pytest.mark.parametrize("text, value", [
    ("conv1d n2 w0 ic3 oc4 kw3 pw2 f32", 0.0),
    ("conv1d n2 w0 ic3 oc4 kw3 pw2 bias f32", 1.0),
    ("conv1d n2 w0 ic3 oc4 kw3 pw2 bias ncw f32", 1.0),
    ("conv2d n2 h0 w4 ic3 oc4 kh3 kw3 ph2 pw1 bias nchw f64", 1.0),
    ("conv2d n2 h0 w4 ic3 oc4 kh3 kw3 ph2 pw1 bias f64", 1.0),
])  # fmt: skip
def test_padding_alone_gives_the_bias(text: str, value: float) -> None:
    spec = ft.ConvSpec.from_text(text)
    x, kernel = np.empty(spec.input_shape, spec.dtype), np.ones(spec.kernel_shape, spec.dtype)
    y = call(spec, x, kernel, np.ones(spec.out_channels, spec.dtype) if spec.bias else None)
    np.testing.assert_array_equal(y, np.full(spec.output_shape, value))


@pytest.mark.parametrize("text, shape", [
    ("conv1d n0 w10 ic3 oc4 kw3", (0, 8, 4)),
    ("conv1d n2x0 w10 ic3 oc4 kw3", (2, 0, 8, 4)),
    ("conv1d n2 w0 ic3 oc4 kw3 same bias relu", (2, 0, 4)),
    ("conv2d n2 h4 w0 ic3 oc4 kh3 kw3 same nchw", (2, 4, 4, 0)),
])  # fmt: skip
def test_empty_inputs_give_empty_results(text: str, shape: tuple[int, ...]) -> None:
    spec = ft.ConvSpec.from_text(text)
    y = call(spec, *random_arrays(spec))
    assert y.shape == shape and y.dtype == np.float32
    assert ft.compile(spec).algorithm == "empty"
