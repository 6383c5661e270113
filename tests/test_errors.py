"""Every wrong call gives one clear error, word for word, and leaves `out` as it was."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import FUNCTIONS, Array, python

import faltung as ft
from faltung.errors import DtypeError, FaltungError, ShapeError


def f4(*shape: int) -> Array:
    return np.ones(shape, "f4")


MEMORY = f4(200)  # what arrays that overlap are cut from
X, KERNEL, BIAS = f4(2, 10, 3), f4(3, 3, 4), f4(4)
READ_ONLY = np.broadcast_to(np.float32(1), (2, 8, 4))
FITS = {"x": X, "kernel": KERNEL}

# id -> (rank, arguments, error, text)
Case = tuple[int | None, dict[str, Any], type[FaltungError], str]
CALLS: dict[str, Case] = {
    "kernel of another rank": (
        1,
        {"x": X, "kernel": f4(3, 3, 3, 4)},
        ShapeError,
        "conv1d: the kernel must have 3 axes, (kw, in_channels/groups, out_channels); got shape (3, 3, 3, 4). "
        "That is a kernel for conv2d: call it, or reshape the kernel.",
    ),
    "x without a batch": (
        1,
        {"x": f4(10, 3), "kernel": KERNEL},
        ShapeError,
        "conv1d: x must have 3 axes or more, (N, W, C); got shape (10, 3). Add the batch axis: x[None].",
    ),
    "x of rank 1 in conv2d": (
        2,
        {"x": f4(10, 8, 3), "kernel": f4(3, 3, 3, 4)},
        ShapeError,
        "conv2d: x must have 4 axes or more, (N, H, W, C); got shape (10, 8, 3). Add the batch axis: x[None].",
    ),
    "x of rank 2 in conv3d": (
        3,
        {"x": f4(2, 5, 5, 3), "kernel": f4(3, 3, 3, 3, 4)},
        ShapeError,
        "conv3d: x must have 5 axes or more, (N, D, H, W, C); got shape (2, 5, 5, 3). Add the batch axis: x[None].",
    ),
    "kernel of no rank": (
        None,
        {"x": X, "kernel": f4(3, 4)},
        ShapeError,
        "conv: the kernel must have 3, 4 or 5 axes, one to three of them spatial; got shape (3, 4). "
        "Reshape it to (kw, in_channels/groups, out_channels).",
    ),
    "channels first": (
        1,
        {"x": f4(2, 3, 10), "kernel": KERNEL},
        ShapeError,
        "conv1d: x and kernel must agree on in_channels; got 10 on axis 2 of x (2, 3, 10), NWC, but 3 in the kernel "
        "(3, 3, 4), WIO. Use layout='NCW' (x looks channels-first) or np.moveaxis(x, 1, -1).",
    ),
    "channels last": (
        2,
        {"x": f4(2, 8, 8, 3), "kernel": f4(3, 3, 3, 4), "layout": "NCHW"},
        ShapeError,
        "conv2d: x and kernel must agree on in_channels; got 8 on axis 1 of x (2, 8, 8, 3), NCHW, but 3 in the kernel "
        "(3, 3, 3, 4), HWIO. Use layout='NHWC' (x looks channels-last) or np.moveaxis(x, -1, 1).",
    ),
    "PyTorch's kernel": (
        2,
        {"x": f4(2, 8, 8, 3), "kernel": f4(16, 3, 5, 5)},
        ShapeError,
        "conv2d: x and kernel must agree on in_channels; got 3 on axis 3 of x (2, 8, 8, 3), NHWC, but 5 in the kernel "
        "(16, 3, 5, 5), HWIO. Use kernel_layout='OIHW' (the kernel looks like it).",
    ),
    "depthwise without groups": (
        1,
        {"x": f4(2, 10, 8), "kernel": f4(3, 1, 8)},
        ShapeError,
        "conv1d: x and kernel must agree on in_channels; got 8 on axis 2 of x (2, 10, 8), NWC, but 1 in the kernel "
        "(3, 1, 8), WIO. Use groups=8 or a kernel of shape (3, 8, 8).",
    ),
    "groups that do not divide": (
        1,
        {"x": f4(2, 10, 8), "kernel": f4(3, 2, 6), "groups": 3},
        ShapeError,
        "conv1d: groups must divide in_channels and out_channels; got groups=3, in_channels=8, out_channels=6. "
        "Use 1 or 2.",
    ),
    "no groups": (1, FITS | {"groups": 0}, ShapeError, "conv1d: groups must be at least 1; got 0. Use 1 or more."),
    "kernel longer than the input": (
        1,
        {"x": f4(2, 2, 3), "kernel": KERNEL},
        ShapeError,
        "conv1d: the kernel must not be longer than the padded input on axis w; got kernel length 3, padded input "
        'length 2. Use padding="same", an input of at least 3 or a kernel of at most 2.',
    ),
    "dilated kernel longer than the padded input": (
        2,
        {"x": f4(2, 6, 9, 3), "kernel": f4(3, 3, 3, 4), "dilation": 4, "padding": 1},
        ShapeError,
        "conv2d: the kernel must not be longer than the padded input on axis h; got kernel length 9 (3 taps, dilation "
        '4), padded input length 8 (1 + 6 + 1). Use padding="same", an input of at least 7, a kernel of at most 2 or a '
        "dilation of at most 3.",
    ),
    "empty kernel": (
        1,
        {"x": X, "kernel": f4(0, 3, 4)},
        ShapeError,
        "conv1d: the kernel must have at least one tap, one input and one output; got shape (0, 3, 4). "
        "Check kernel_layout='WIO'.",
    ),
    "no channels": (
        1,
        {"x": f4(2, 10, 0), "kernel": KERNEL},
        ShapeError,
        "conv1d: in_channels must be at least 1; got 0. Use 1 or more.",
    ),
    "stride 0": (1, FITS | {"stride": 0}, ShapeError, "conv1d: stride must be at least 1; got 0. Use 1 or more."),
    "negative stride": (
        2,
        {"x": f4(1, 9, 9, 3), "kernel": f4(3, 3, 3, 4), "stride": (2, -1)},
        ShapeError,
        "conv2d: stride of axis w must be at least 1; got -1. Use 1 or more.",
    ),
    "half a stride": (
        1,
        FITS | {"stride": 1.5},
        ShapeError,
        "conv1d: stride must be an integer; got 1.5 of type float. Use a whole number.",
    ),
    "dilation 0": (1, FITS | {"dilation": 0}, ShapeError, "conv1d: dilation must be at least 1; got 0. Use 1 or more."),
    "negative padding": (
        1,
        FITS | {"padding": -1},
        ShapeError,
        "conv1d: padding must not be negative; got (-1, -1). Slice the input instead.",
    ),
    "misspelled padding": (
        1,
        FITS | {"padding": "sam"},
        ShapeError,
        "conv1d: padding must be valid, same, causal or same_lower; got 'sam'. Did you mean 'same'?",
    ),
    "unknown padding mode": (
        1,
        FITS | {"padding": 1, "padding_mode": "mirror"},
        ShapeError,
        "conv1d: padding_mode must be zeros, reflect, replicate or circular; got 'mirror'. Use one of these.",
    ),
    "reflection longer than the input": (
        1,
        {"x": f4(2, 2, 3), "kernel": KERNEL, "padding": 2, "padding_mode": "reflect"},
        ShapeError,
        "conv1d: padding_mode 'reflect' pads axis w of length 2 by at most 1; got padding (2, 2). "
        "Pad less, or use 'replicate' or 'zeros'.",
    ),
    "layout of another rank": (
        1,
        FITS | {"layout": "NHWC"},
        ShapeError,
        "conv1d: layout of conv1d must be NWC or NCW; got 'NHWC'. Did you mean 'NWC'?",
    ),
    "unknown kernel layout": (
        1,
        FITS | {"kernel_layout": "IOW"},
        ShapeError,
        "conv1d: kernel_layout of conv1d must be WIO or OIW; got 'IOW'. Did you mean 'WIO'?",
    ),
    "misspelled activation": (
        1,
        FITS | {"activation": "rellu"},
        ShapeError,
        "conv1d: activation must be relu, relu6, leaky_relu, elu, selu, gelu, gelu_tanh, silu, sigmoid, tanh, "
        "softplus, hard_sigmoid, hard_silu, swish, hard_swish or linear; got 'rellu'. Did you mean 'relu'?",
    ),
    "parameter too many": (
        1,
        FITS | {"activation": ("relu", 1.0)},
        ShapeError,
        "conv1d: only leaky_relu and elu take a parameter; got 1.0 for relu.",
    ),
    "unknown precision": (
        1,
        FITS | {"precision": "low"},
        ShapeError,
        "conv1d: precision must be high or exact; got 'low'. Use one of these.",
    ),
    "bias too short": (
        1,
        FITS | {"bias": f4(3)},
        ShapeError,
        "conv1d: the bias must have shape (4,), one for each output; got (3,). Give 4 numbers.",
    ),
    "bias with more axes": (
        1,
        FITS | {"bias": f4(1, 4)},
        ShapeError,
        "conv1d: the bias must have shape (4,), one for each output; got (1, 4). Use bias.reshape(-1).",
    ),
    "integers": (
        1,
        {"x": X.astype(np.int64), "kernel": KERNEL},
        DtypeError,
        'conv1d: x must be float32 or float64; got int64. Convert: x.astype("float32").',
    ),
    "half precision": (
        1,
        {"x": X, "kernel": KERNEL.astype("f2")},
        DtypeError,
        'conv1d: kernel must be float32 or float64; got float16. Convert: kernel.astype("float32").',
    ),
    "booleans": (
        1,
        FITS | {"bias": BIAS.astype(bool)},
        DtypeError,
        'conv1d: bias must be float32 or float64; got bool. Convert: bias.astype("float32").',
    ),
    "complex numbers": (
        1,
        {"x": X.astype("c8"), "kernel": KERNEL},
        DtypeError,
        "conv1d: x must be float32 or float64; got complex64. Convolve x.real and x.imag apart.",
    ),
    "words": (
        1,
        {"x": [[["a"]]], "kernel": KERNEL},
        DtypeError,
        "conv1d: x must be float32 or float64; got str32. Encode x as numbers first.",
    ),
    "an array of objects": (
        1,
        {"x": X.astype(object), "kernel": KERNEL},
        DtypeError,
        "conv1d: x must be float32 or float64; got object. "
        "The rows of x probably differ in length: pad or cut them to one length.",
    ),
    "a ragged list": (
        1,
        {"x": [[[1.0], [2.0]], [[1.0]]], "kernel": np.ones((1, 1, 1))},
        DtypeError,
        "conv1d: x must be float32 or float64; got object. "
        "The rows of x probably differ in length: pad or cut them to one length.",
    ),
    "kernel in double precision": (
        1,
        {"x": X, "kernel": KERNEL.astype("f8")},
        DtypeError,
        'conv1d: x and kernel must have one dtype; got x float32, kernel float64. Use kernel.astype("float32").',
    ),
    "bias in double precision": (
        1,
        FITS | {"bias": BIAS.astype("f8")},
        DtypeError,
        "conv1d: x, kernel and bias must have one dtype; got x float32, kernel float32, bias float64. "
        'Use bias.astype("float32").',
    ),
    "out too long": (
        1,
        FITS | {"out": f4(2, 9, 4)},
        ShapeError,
        "conv1d: out must be an array of the result's shape and type; got float32 (2, 9, 4). "
        "Use np.empty((2, 8, 4), 'float32').",
    ),
    "out in double precision": (
        1,
        FITS | {"out": np.ones((2, 8, 4))},
        ShapeError,
        "conv1d: out must be an array of the result's shape and type; got float64 (2, 8, 4). "
        "Use np.empty((2, 8, 4), 'float32').",
    ),
    "out in the other byte order": (
        1,
        FITS | {"out": np.ones((2, 8, 4), np.dtype("f4").newbyteorder())},
        ShapeError,
        f"conv1d: out must be an array of the result's shape and type; got {np.dtype('f4').newbyteorder()} (2, 8, 4). "
        "Use np.empty((2, 8, 4), 'float32').",
    ),
    "out is a list": (
        1,
        FITS | {"out": [1.0]},
        ShapeError,
        "conv1d: out must be an array of the result's shape and type; got list. Use np.empty((2, 8, 4), 'float32').",
    ),
    "out is read-only": (
        1,
        FITS | {"out": READ_ONLY},
        ShapeError,
        "conv1d: out must be writable; got a read-only array. Use a copy: out.copy().",
    ),
    "out is x": (
        1,
        {"x": MEMORY[:80].reshape(2, 10, 4), "kernel": f4(1, 4, 4), "out": MEMORY[:80].reshape(2, 10, 4)},
        ShapeError,
        "conv1d: out must not share memory with x; got arrays that overlap. "
        "Use an array of its own for out, or pass x.copy().",
    ),
    "out is x, shifted": (
        1,
        {"x": MEMORY[:80].reshape(2, 10, 4), "kernel": f4(1, 4, 4), "out": MEMORY[76:156].reshape(2, 10, 4)},
        ShapeError,
        "conv1d: out must not share memory with x; got arrays that overlap. "
        "Use an array of its own for out, or pass x.copy().",
    ),
    "out between the numbers of x, once on one": (
        1,
        {"x": MEMORY[0:160:2].reshape(2, 10, 4), "kernel": f4(1, 4, 4), "out": MEMORY[158:78:-1].reshape(2, 10, 4)},
        ShapeError,
        "conv1d: out must not share memory with x; got arrays that overlap. "
        "Use an array of its own for out, or pass x.copy().",
    ),
    "out on the kernel": (
        1,
        {"x": f4(2, 10, 4), "kernel": MEMORY[:16].reshape(1, 4, 4), "out": MEMORY[15:95].reshape(2, 10, 4)},
        ShapeError,
        "conv1d: out must not share memory with kernel; got arrays that overlap. "
        "Use an array of its own for out, or pass kernel.copy().",
    ),
    "out on the bias": (
        1,
        {
            "x": f4(2, 10, 4),
            "kernel": f4(1, 4, 4),
            "bias": MEMORY[86:90],
            "out": MEMORY[8:88].reshape(2, 10, 4),
        },
        ShapeError,
        "conv1d: out must not share memory with bias; got arrays that overlap. "
        "Use an array of its own for out, or pass bias.copy().",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_wrong_calls(case: str) -> None:
    rank, arguments, error, text = CALLS[case]
    function = ft.conv if rank is None else FUNCTIONS[rank]
    out = np.full((2, 8, 4), 7.0, "f4")
    arguments = {"out": out, **arguments}
    kept = [np.array(array) for array in arguments.values() if isinstance(array, np.ndarray)]
    for _ in range(2):  # the second call would take the short way, if any
        with pytest.raises(error) as caught:
            function(**arguments)
        assert type(caught.value) is error
        assert str(caught.value) == text
    for array, before in zip(filter(lambda a: isinstance(a, np.ndarray), arguments.values()), kept, strict=True):
        np.testing.assert_array_equal(array, before, err_msg="something was written")


@pytest.mark.parametrize("name, wrong, got", [
    ("groups", True, "True of type bool. Use a whole number."),
    ("groups", 1.0, "1.0 of type float. Use 1."),
    ("stride", True, "True of type bool. Use a whole number."),
    ("dilation", 1.0, "1.0 of type float. Use 1."),
])  # fmt: skip
def test_a_wrong_value_that_equals_a_right_one_is_wrong_in_a_warm_call_too(name: str, wrong: Any, got: str) -> None:
    ft.conv1d(X, KERNEL, **{name: 1})
    with pytest.raises(ShapeError) as caught:
        ft.conv1d(X, KERNEL, **{name: wrong})
    assert str(caught.value) == f"conv1d: {name} must be an integer; got {got}"


def test_memory_that_only_interleaves_may_be_shared() -> None:
    memory = f4(161)
    x, out = memory[0:160:2].reshape(2, 10, 4), memory[1:161:2].reshape(2, 10, 4)
    np.testing.assert_array_equal(ft.conv1d(x, f4(1, 4, 4), out=out), np.full((2, 10, 4), 4.0))


COMPILED = "conv1d n2 w10 ic3 oc4 kw3 f32"
SHAPE = "compiled for {}. Compile a spec for this shape, or call ft.conv1d, which does."

# id -> (spec, arguments, error, text)
COMPILED_CALLS: dict[str, tuple[str, tuple[Any, ...], type[FaltungError], str]] = {
    "x of another shape": (
        COMPILED,
        (f4(2, 11, 3), KERNEL),
        ShapeError,
        "conv1d: x must have the shape of the compiled spec; got (2, 11, 3), " + SHAPE.format((2, 10, 3)),
    ),
    "kernel of another shape": (
        COMPILED,
        (X, f4(3, 4, 3)),
        ShapeError,
        "conv1d: kernel must have the shape of the compiled spec; got (3, 4, 3), " + SHAPE.format((3, 3, 4)),
    ),
    "bias of another shape": (
        COMPILED + " bias",
        (X, KERNEL, f4(5)),
        ShapeError,
        "conv1d: bias must have the shape of the compiled spec; got (5,), " + SHAPE.format((4,)),
    ),
    "bias too many": (
        COMPILED,
        (X, KERNEL, BIAS),
        ShapeError,
        "conv1d: the compiled spec has no bias; got bias=an array. Compile 'conv1d n2 w10 ic3 oc4 kw3 bias f32'.",
    ),
    "no bias": (
        COMPILED + " bias",
        (X, KERNEL),
        ShapeError,
        "conv1d: the compiled spec has a bias; got bias=None. Compile 'conv1d n2 w10 ic3 oc4 kw3 f32'.",
    ),
    "x in double precision": (
        COMPILED,
        (X.astype("f8"), KERNEL),
        DtypeError,
        "conv1d: x must be float32, as compiled; got float64. Convert it with x.astype('float32').",
    ),
    "out of another shape": (
        COMPILED,
        (X, KERNEL, None, f4(3)),
        ShapeError,
        "conv1d: out must be an array of the result's shape and type; got float32 (3,). "
        "Use np.empty((2, 8, 4), 'float32').",
    ),
    "out is x": (
        "conv1d n2 w10 ic4 oc4 kw1 f32",
        (MEMORY[:80].reshape(2, 10, 4), f4(1, 4, 4), None, MEMORY[:80].reshape(2, 10, 4)),
        ShapeError,
        "conv1d: out must not share memory with x; got arrays that overlap. "
        "Use an array of its own for out, or pass x.copy().",
    ),
    "out on x that is copied first": (
        "conv1d n2 w10 ic4 oc4 kw1 f32",
        (MEMORY[:160:2].reshape(2, 10, 4), f4(1, 4, 4), None, MEMORY[:80].reshape(2, 10, 4)),
        ShapeError,
        "conv1d: out must not share memory with x; got arrays that overlap. "
        "Use an array of its own for out, or pass x.copy().",
    ),
}


@pytest.mark.parametrize("case", COMPILED_CALLS)
def test_wrong_calls_of_a_compiled_spec(case: str) -> None:
    text, arguments, error, message = COMPILED_CALLS[case]
    before = MEMORY.copy()
    with pytest.raises(error) as caught:
        ft.compile(ft.ConvSpec.from_text(text))(*arguments)
    assert str(caught.value) == message
    np.testing.assert_array_equal(MEMORY, before, err_msg="something was written")


def test_a_ragged_list_for_a_compiled_spec() -> None:
    with pytest.raises(FaltungError, match=r"^conv1d: x must "):
        ft.compile(ft.ConvSpec.from_text(COMPILED))([[[1.0]], [[1.0], [2.0]]], KERNEL)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [COMPILED, None])
def test_compile_takes_a_spec_alone(wrong: Any) -> None:
    with pytest.raises(FaltungError) as caught:
        ft.compile(wrong)
    assert str(caught.value).startswith("compile: give a ConvSpec, a torch.nn.Module, ")
    assert f"got {wrong!r:.80} of type builtins.{type(wrong).__name__}. " in str(caught.value)


SPECS: dict[str, tuple[Callable[[], ft.ConvSpec], type[FaltungError], str]] = {
    "no channels": (
        lambda: ft.ConvSpec(in_size=10, in_channels=0, out_channels=1, kernel_size=3),
        ShapeError,
        "ConvSpec: in_channels must be at least 1; got 0. Use 1 or more.",
    ),
    "negative size": (
        lambda: ft.ConvSpec(in_size=-1, in_channels=1, out_channels=1, kernel_size=3),
        ShapeError,
        "ConvSpec: in_size must be at least 0; got -1. Use 0 or more.",
    ),
    "half precision": (
        lambda: ft.ConvSpec(in_size=10, in_channels=1, out_channels=1, kernel_size=3, dtype="float16"),
        DtypeError,
        'ConvSpec: dtype must be float32 or float64; got float16. Use dtype="float32".',
    ),
    "an array as bias": (
        lambda: ft.ConvSpec(in_size=10, in_channels=1, out_channels=1, kernel_size=3, bias=np.ones(1)),  # type: ignore[arg-type]
        ShapeError,
        "ConvSpec: bias must be True or False; got array([1.]). The numbers go to the call.",
    ),
    "text without outputs": (
        lambda: ft.ConvSpec.from_text("conv1d n1 w20 ic3 kw3"),
        ShapeError,
        "ConvSpec.from_text: conv1d needs oc; got 'conv1d n1 w20 ic3 kw3'. Add oc3, say.",
    ),
}


@pytest.mark.parametrize("case", SPECS)
def test_wrong_specs(case: str) -> None:
    make, error, text = SPECS[case]
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2.0, "x", None, True])
def test_wrong_numbers_of_threads(wrong: Any) -> None:
    before = ft.get_num_threads()
    with pytest.raises(FaltungError) as caught:
        ft.set_num_threads(wrong)
    rule = "set_num_threads: the number of threads must be between 1 and 1024"
    assert str(caught.value) == f"{rule}; got {wrong!r}. Use {os.cpu_count()}."
    assert ft.get_num_threads() == before


def test_numpys_integers_are_numbers_of_threads() -> None:
    before = ft.get_num_threads()
    try:
        ft.set_num_threads(np.int64(3))  # type: ignore[arg-type]
        assert ft.get_num_threads() == 3
    finally:
        ft.set_num_threads(before)


FIRST_CALL = "import numpy as np, faltung as ft; ft.conv1d(np.ones((1, 9, 1)), np.ones((3, 1, 1)))"


@pytest.mark.parametrize("wrong", ["abc", "0", "-2", "1.5", "9999"])
def test_wrong_number_of_threads_in_the_environment(wrong: str) -> None:
    rule = "faltung.errors.FaltungError: FALTUNG_NUM_THREADS: the number of threads must be between 1 and 1024"
    expected = f"{rule}; got {wrong!r}. Use {os.cpu_count()}."
    done = python("import faltung as ft; ft.get_num_threads()", FALTUNG_NUM_THREADS=wrong)
    assert done.stderr.splitlines()[-1] == expected
    program = FIRST_CALL.replace("(1, 9, 1)", "(64, 999, 1)").replace("(3, 1, 1)", "(3, 1, 64)")  # one worth sharing
    done = python(program, FALTUNG_NUM_THREADS=wrong)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == expected


def test_wrong_target_in_the_environment() -> None:
    rule = "faltung.errors.FaltungError: FALTUNG_TARGET: must name a processor that this machine can run"
    done = python(FIRST_CALL, FALTUNG_TARGET="nonsense")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"{rule}; got 'nonsense'. Use native")
