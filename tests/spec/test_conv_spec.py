"""ConvSpec: one spelling of each thing, sizes and costs, and a message for each wrong request."""

import copy
import math
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import conv_specs

from faltung.errors import DtypeError, ShapeError
from faltung.spec import ACTIVATIONS, ConvSpec

BASE = {"in_size": (10, 12), "in_channels": 8, "out_channels": 16, "kernel_size": 3}


def test_every_spelling_becomes_one():
    spec = ConvSpec(
        in_size=[10, 12],
        in_channels=np.int64(8),
        out_channels=16,
        kernel_size=3,
        batch=2,
        padding=1,
        activation="Swish",
    )
    assert spec.kernel_size == (3, 3) and spec.stride == (1, 1) and spec.dilation == (1, 1)
    assert spec.padding == ((1, 1), (1, 1))
    assert type(spec.in_channels) is int and spec.batch == (2,)
    assert (spec.layout, spec.kernel_layout, spec.padding_mode) == ("NHWC", "HWIO", "zeros")
    assert (spec.activation, spec.activation_parameter) == ("silu", None)
    assert spec == spec.replace(padding=((1, 1), (1, 1)), layout="nhwc", kernel_layout="wio", activation="silu")


def test_a_padding_mode_without_padding_is_zeros():
    assert ConvSpec(**BASE, padding_mode="reflect") == ConvSpec(**BASE)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name):
    spec = ConvSpec(**BASE, activation=name.upper())
    assert (spec.activation, spec.activation_parameter) == (name, ACTIVATIONS[name])


@pytest.mark.parametrize(
    "activation, parameter, expected",
    [
        (None, None, (None, None)),
        ("linear", None, (None, None)),
        ("hard_swish", None, ("hard_silu", None)),
        ("leaky_relu", None, ("leaky_relu", 0.2)),
        ("leaky_relu", 0, ("leaky_relu", 0.0)),
        (("leaky_relu", 0.01), None, ("leaky_relu", 0.01)),
        (("elu", np.float32(0.5)), None, ("elu", 0.5)),
        (("relu", None), None, ("relu", None)),
    ],
)
def test_activations_with_parameters(activation, parameter, expected):
    spec = ConvSpec(**BASE, activation=activation, activation_parameter=parameter)
    assert (spec.activation, spec.activation_parameter) == expected


def test_shapes_and_costs():
    spec = ConvSpec(
        in_size=(10, 12),
        in_channels=8,
        out_channels=16,
        kernel_size=(3, 4),
        batch=2,
        stride=(1, 2),
        padding=((0, 1), 2),
        dilation=(2, 1),
        groups=4,
        layout="NCHW",
        kernel_layout="OIHW",
        bias=True,
        dtype="float64",
    )
    assert (spec.rank, spec.name, spec.num_samples, spec.is_channels_last) == (2, "conv2d", 2, False)
    assert spec.effective_kernel == spec.receptive_field == (5, 4)
    assert spec.out_size == (7, 7)
    assert spec.input_shape == (2, 8, 10, 12)
    assert spec.kernel_shape == (16, 2, 3, 4)
    assert spec.output_shape == (2, 16, 7, 7)
    assert spec.macs == 2 * 7 * 7 * 16 * 2 * 3 * 4 and spec.flops == 2 * spec.macs
    assert (spec.input_bytes, spec.kernel_bytes, spec.output_bytes) == (8 * 1920, 8 * 384, 8 * 1568)
    assert spec.bytes_moved == 8 * (1920 + 384 + 16 + 1568)
    assert spec.size_formula("h") == spec.size_formula(0) == "h: floor((10 + 0 + 1 - 2*(3 - 1) - 1) / 1) + 1 = 7"
    assert spec.size_formula("w") == spec.size_formula(-1) == "w: floor((12 + 2 + 2 - 1*(4 - 1) - 1) / 2) + 1 = 7"
    with pytest.raises(ShapeError, match="axis must be h or w; got 'd'"):
        spec.size_formula("d")


def test_several_leading_axes():
    spec = ConvSpec(in_size=10, in_channels=1, out_channels=2, kernel_size=3, batch=(4, 5))
    assert (spec.num_samples, spec.input_shape, spec.output_shape) == (20, (4, 5, 10, 1), (4, 5, 8, 2))


def test_a_spec_is_a_value():
    spec = ConvSpec(**BASE, activation=("elu", 0.5))
    assert {spec: 1}[copy.deepcopy(spec)] == 1
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert eval(repr(spec)) == spec
    with pytest.raises(FrozenInstanceError):
        spec.groups = 2


def test_replace():
    spec = ConvSpec(**BASE, padding="same", activation=("leaky_relu", 0.01))
    assert spec.replace(batch=4).activation_parameter == 0.01
    assert spec.replace(activation="elu").activation_parameter == 1.0
    assert spec.replace(activation=None).activation is None
    assert spec.replace(kernel_size=5).padding == ((1, 1), (1, 1))
    with pytest.raises(ShapeError, match="groups must divide"):
        spec.replace(groups=5)


@settings(max_examples=200, deadline=None)
@given(conv_specs())
def test_what_always_holds(spec):
    assert min(spec.output_shape) >= 0 and spec.out_size == spec.replace().out_size
    assert (
        math.prod(spec.kernel_shape)
        == math.prod(spec.kernel_size) * spec.in_channels * spec.out_channels // spec.groups
    )
    for size, stride, window, pair, out in zip(
        spec.in_size, spec.stride, spec.effective_kernel, spec.padding, spec.out_size, strict=True
    ):
        last = (out - 1) * stride + window  # the end of the last window; one more would not fit
        assert out == 0 or last <= size + sum(pair) < last + stride


@pytest.mark.parametrize("in_size, kernel_size, padding", [(0, 1, 0), (0, 3, 2), (0, 3, "same"), (0, 3, (3, 0))])
def test_an_empty_axis_is_fine_where_it_fits(in_size, kernel_size, padding):
    spec = ConvSpec(in_size=in_size, in_channels=1, out_channels=1, kernel_size=kernel_size, padding=padding)
    assert ConvSpec.from_text(spec.to_text()).out_size == spec.out_size
    assert min(spec.out_size) >= 0


@pytest.mark.parametrize(
    "changes, message",
    [
        # sizes
        (
            {"in_size": ()},
            r"in_size must have one, two or three entries; got \(\)\. Leave out batch and channels\.",
        ),
        ({"in_size": (1, 9, 9, 3)}, r"in_size must have one, two or three entries; got \(1, 9, 9, 3\)"),
        ({"in_size": (-1, 9)}, r"in_size must be at least 0; got -1\. Use 0 or more\."),
        ({"in_channels": 0}, r"in_channels must be at least 1; got 0\. Use 1 or more\."),
        ({"out_channels": -2}, r"out_channels must be at least 1; got -2"),
        ({"kernel_size": 0}, "kernel_size must be at least 1; got 0"),
        ({"kernel_size": (3, 0)}, "kernel_size of axis w must be at least 1; got 0"),
        ({"batch": -1}, "batch must be at least 0; got -1"),
        ({"batch": ()}, r"layout NHWC takes one batch axis or more; got batch=\(\)\. Use batch=1\."),
        (
            {"batch": (2, 3), "layout": "NCHW"},
            r"layout NCHW takes one batch axis; got batch=\(2, 3\)\. Merge the leading axes into one\.",
        ),
        # whole numbers
        ({"stride": 2.0}, r"stride must be an integer; got 2\.0 of type float\. Use 2\."),
        ({"stride": 1.5}, r"stride must be an integer; got 1\.5 of type float\. Use a whole number\."),
        ({"stride": "2"}, "stride must be an integer; got '2' of type str"),
        ({"stride": True}, "stride must be an integer; got True of type bool"),
        ({"stride": None}, "stride must be an integer; got None of type NoneType"),
        ({"stride": np.True_}, "stride must be an integer; got .*True.* of type bool"),
        ({"stride": (1, 2.0)}, r"stride of axis w must be an integer; got 2\.0 of type float"),
        ({"groups": 1.5}, r"groups must be an integer; got 1\.5 of type float"),
        ({"groups": 0}, "groups must be at least 1; got 0"),
        ({"dilation": 0}, "dilation must be at least 1; got 0"),
        ({"stride": -1}, "stride must be at least 1; got -1"),
        # axes
        (
            {"stride": (1, 2, 2)},
            r"stride must be one integer for all axes or one for each of h and w; "
            r"got \(1, 2, 2\), 3 entries\. "
            r"Give 2\.",
        ),
        ({"stride": (1, 2, 2, 1)}, r"got \(1, 2, 2, 1\), 4 entries\. Leave out the batch and channel entries\."),
        ({"kernel_size": (3,)}, r"kernel_size must be .*; got \(3,\), 1 entries\. Give 2\."),
        # groups
        (
            {"groups": 3},
            r"groups must divide in_channels and out_channels; "
            r"got groups=3, in_channels=8, out_channels=16\. "
            r"Use 1, 2, 4 or 8\.",
        ),
        ({"groups": 5, "out_channels": 3}, r"groups must divide .*\. Use 1\."),
        # padding
        (
            {"padding": "smae"},
            r"padding must be valid, same, causal or same_lower; got 'smae'\. Did you mean 'same'\?",
        ),
        (
            {"padding": "causal"},
            r"padding 'causal' is for conv1d; "
            r"got 2 spatial axes\. "
            r"With time first use padding=\(\(2, 0\), \(0, 0\)\)\.",
        ),
        ({"padding": -1}, r"padding must not be negative; got \(-1, -1\)\. Slice the input instead\."),
        (
            {"padding": ((0, -1), 0)},
            r"padding of axis h must not be negative; got \(0, -1\)\. Slice the input instead\.",
        ),
        ({"padding": 1.5}, r"padding must be an integer; got 1\.5"),
        ({"padding": None}, "padding must be an integer; got None"),
        (
            {"padding": ((1, 2, 3), 0)},
            r"padding of axis h must be an int or \(low, high\); got \(1, 2, 3\)\. Give two ends\.",
        ),
        (
            {"padding": (1, 2, 3)},
            r"padding must be valid, .*, or one int, or an int or \(low, high\) for h and w; "
            r"got \(1, 2, 3\)\. "
            r"Give 2, for example padding=\(\(1, 1\), \(1, 1\)\)\.",
        ),
        ({"padding": (1, 2, 3, 4)}, r"padding must be .*; got \(1, 2, 3, 4\)\. Give 2"),
        (
            {"padding": ((0, 0), (0, 0), (1, 1), (1, 1))},
            r"padding of the channel axis must be \(0, 0\) in layout NHWC; "
            r"got .*\. "
            r"Order the pairs as N H W C\.",
        ),
        ({"padding": ((1, 0), (0, 0), (1, 1), (0, 0))}, r"padding of the batch axis must be \(0, 0\) in layout NHWC"),
        (
            {"padding_mode": "reflct"},
            r"padding_mode must be zeros, .* or circular; got 'reflct'\. Did you mean 'reflect'\?",
        ),
        (
            {"padding": 10, "padding_mode": "reflect"},
            r"padding_mode 'reflect' pads axis h of length 10 by at most 9; got padding \(10, 10\)\. "
            r"Pad less, or use 'replicate' or 'zeros'\.",
        ),
        (
            {"padding": (0, 13), "padding_mode": "circular"},
            "padding_mode 'circular' pads axis w of length 12 by at most 12",
        ),
        (
            {"in_size": (0, 5), "padding": 2, "padding_mode": "replicate"},
            r"padding_mode 'replicate' needs inputs; got length 0 on axis h\. Use 'zeros'\.",
        ),
        # kernel and input
        (
            {"kernel_size": (3, 13)},
            r"the kernel must not be longer than the padded input on axis w; "
            r"got kernel length 13, padded input length 12\. "
            r'Use padding="same", an input of at least 13 or a kernel of at most 12\.',
        ),
        (
            {"dilation": (6, 1), "padding": ((1, 1), 0)},
            r"on axis h; "
            r"got kernel length 13 \(3 taps, dilation 6\), padded input length 12 \(1 \+ 10 \+ 1\)\. "
            r'Use padding="same", an input of at least 11, a kernel of at most 2 or a dilation of at most 5\.',
        ),
        (
            {"in_size": (0, 5)},
            r'kernel length 3, padded input length 0\. Use padding="same" or an input of at least 3\.',
        ),
        # options
        ({"bias": np.zeros(16)}, r"bias must be True or False; got .*\. The numbers go to the call\."),
        ({"activation": "rleu"}, r"activation must be relu, .* or linear; got 'rleu'\. Did you mean 'relu'\?"),
        ({"activation": max}, r"activation must be relu, .*; got <built-in function max>\. Give its name\."),
        ({"activation": ("relu", 2)}, r"only leaky_relu and elu take a parameter; got 2 for relu\."),
        ({"activation_parameter": 2}, r"only leaky_relu and elu take a parameter; got 2 for no activation\."),
        ({"activation": ("elu", "x")}, r"the parameter of elu must be a finite number; got 'x'\."),
        ({"activation": ("elu", math.inf)}, r"the parameter of elu must be a finite number; got inf\."),
        ({"activation": ("elu", 1, 2)}, r"activation must be a name or \(name, parameter\); got \('elu', 1, 2\)"),
        ({"activation": ("elu", 1), "activation_parameter": 2}, r"activation must be a name or \(name, parameter\)"),
        ({"precision": "low"}, r"precision must be high or exact; got 'low'\. Use one of these\."),
        ({"layout": "NWC"}, "layout of conv2d must be NHWC or NCHW; got 'NWC'"),
        ({"kernel_layout": "IO"}, "kernel_layout of conv2d must be HWIO or OIHW; got 'IO'"),
    ],
)
def test_messages(changes, message):
    with pytest.raises(ShapeError, match=r"^ConvSpec: (?:.* )?" + message):
        ConvSpec(**BASE | changes)


@pytest.mark.parametrize("dtype", ["float16", "int32", np.float32])
def test_dtypes(dtype):
    with pytest.raises(
        DtypeError, match=r'^ConvSpec: dtype must be float32 or float64; got .*\. Use dtype="float32"\.$'
    ):
        ConvSpec(**BASE, dtype=dtype)
