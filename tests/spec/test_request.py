"""From a call to a spec: what arrays can get wrong, and the message for it."""

import pytest
from hypothesis import given, settings
from strategies import conv_specs

from faltung.errors import DtypeError, FaltungError, ShapeError
from faltung.spec import ConvOptions, ConvSpec, named, spec_from_call
from faltung.spec.options import options_of

F32 = "float32"


def call(x_shape, kernel_shape, bias_shape=None, *, function="conv1d", rank=1, **options):
    options = ConvOptions(**options)
    return spec_from_call(function, x_shape, F32, kernel_shape, F32, bias_shape, F32, rank=rank, options=options)


@settings(max_examples=200, deadline=None)
@given(conv_specs())
def test_a_call_with_the_arrays_of_a_spec_gives_the_spec(spec):
    assert spec == spec_from_call(
        spec.name,
        spec.input_shape,
        spec.dtype,
        spec.kernel_shape,
        spec.dtype,
        (spec.out_channels,) if spec.bias else None,
        spec.dtype if spec.bias else None,
        rank=spec.rank,
        options=options_of(spec),
    )


@pytest.mark.parametrize(
    "x_shape, kernel_shape, rank", [((2, 9, 3), (3, 3, 4), 1), ((2, 9, 9, 3), (3, 3, 3, 4), 2), ((9,) * 5, (9,) * 5, 3)]
)
def test_conv_takes_the_rank_from_the_kernel(x_shape, kernel_shape, rank):
    assert call(x_shape, kernel_shape, function="conv", rank=None).rank == rank


def test_leading_batch_axes():
    assert call((2, 3, 10, 4), (3, 4, 5)).batch == (2, 3)


@pytest.mark.parametrize(
    "x_shape, kernel_shape, options, message",
    [
        # axes of x
        (
            (100, 3),
            (5, 3, 16),
            {},
            r"x must have 3 axes or more, \(N, W, C\); got shape \(100, 3\)\. Add the batch axis: x\[None\]\.",
        ),
        (
            (3, 100),
            (5, 3, 16),
            {"layout": "NCW"},
            r"x must have 3 axes, \(N, C, W\); got shape \(3, 100\)\. Add the batch axis: x\[None\]\.",
        ),
        ((8, 100), (5, 1, 16), {}, r"got shape \(8, 100\)\. Add the channel axis: x\[\.\.\., None\]\."),
        ((8, 100), (5, 1, 16), {"layout": "NCW"}, r"got shape \(8, 100\)\. Add the channel axis: x\[:, None\]\."),
        ((8, 100), (5, 7, 16), {}, r"Add the missing axis: batch is x\[None\], channels x\[\.\.\., None\]\."),
        ((100,), (5, 1, 16), {}, r"got shape \(100,\)\. Add batch and channels: x\[None, \.\.\., None\]\."),
        ((100,), (5, 1, 16), {"layout": "NCW"}, r"Add batch and channels: x\[None, None\]\."),
        ((), (5, 1, 16), {}, r"got shape \(\)\. Add the missing axes\."),
        (
            (2, 3, 4, 50),
            (5, 4, 16),
            {"layout": "NCW"},
            r"x must have 3 axes, \(N, C, W\); got shape \(2, 3, 4, 50\)\. "
            r"Merge the leading axes: x\.reshape\(-1, \*x\.shape\[-2:\]\), or use layout='NWC'\.",
        ),
        # axes of the kernel
        (
            (8, 100, 3),
            (5,),
            {},
            r"the kernel must have 3 axes, \(kw, in_channels/groups, out_channels\); "
            r"got shape \(5,\)\. "
            r"With one input and one output use kernel\[\.\.\., None, None\]\.",
        ),
        (
            (8, 100, 3),
            (5,),
            {"kernel_layout": "OIW"},
            r"the kernel must have 3 axes, \(out_channels, in_channels/groups, kw\); .* use kernel\[None, None\]\.",
        ),
        (
            (8, 100, 3),
            (5, 3),
            {},
            r"With one input use kernel\[\.\.\., None, :\], with one output kernel\[\.\.\., None\]\.",
        ),
        (
            (8, 100, 3),
            (5, 3),
            {"kernel_layout": "OIW"},
            r"With one input use kernel\[:, None\], with one output kernel\[None\]\.",
        ),
        (
            (8, 100, 3),
            (5, 5, 3, 16),
            {},
            r"got shape \(5, 5, 3, 16\)\. That is a kernel for conv2d: call it, or reshape the kernel\.",
        ),
        (
            (8, 100, 3),
            (1,) * 6,
            {},
            r"the kernel must have 3 axes, .*; got shape \(1, 1, 1, 1, 1, 1\)\. Reshape it\.",
        ),
        (
            (8, 100, 3),
            (5, 0, 16),
            {},
            r"the kernel must have at least one tap, one input and one output; "
            r"got shape \(5, 0, 16\)\. "
            r"Check kernel_layout='WIO'\.",
        ),
        (
            (8, 100, 3),
            (5, 3),
            {"rank": None},
            r"the kernel must have 3, 4 or 5 axes, .*; "
            r"got shape \(5, 3\)\. "
            r"Reshape it to \(kw, in_channels/groups, out_channels\)\.",
        ),
        # channels
        (
            (8, 3, 100),
            (5, 3, 16),
            {},
            r"x and kernel must agree on in_channels; "
            r"got 100 on axis 2 of x \(8, 3, 100\), NWC, "
            r"but 3 in the kernel \(5, 3, 16\), WIO\. "
            r"Use layout='NCW' \(x looks channels-first\) or np\.moveaxis\(x, 1, -1\)\.",
        ),
        (
            (8, 100, 3),
            (5, 3, 16),
            {"layout": "NCW"},
            r"got 100 on axis 1 of x \(8, 100, 3\), NCW, "
            r"but 3 in .*\. "
            r"Use layout='NWC' \(x looks channels-last\) or np\.moveaxis\(x, -1, 1\)\.",
        ),
        (
            (8, 32, 32, 3),
            (16, 3, 5, 5),
            {"rank": 2},
            r"but 5 in the kernel \(16, 3, 5, 5\), HWIO\. Use kernel_layout='OIHW' \(the kernel looks like it\)\.",
        ),
        (
            (8, 100, 64),
            (5, 1, 64),
            {},
            r"but 1 in the kernel .*\. Use groups=64 or a kernel of shape \(5, 64, 64\)\.",
        ),
        ((8, 100, 64), (5, 3, 64), {}, r"but 3 in the kernel .*\. Use a kernel of shape \(5, 64, 64\)\."),
        (
            (8, 100, 8),
            (5, 8, 16),
            {"groups": 4},
            r"but 8 times 4 groups in the kernel .*\. Use groups=1 or a kernel of shape \(5, 2, 16\)\.",
        ),
        (
            (8, 100, 8),
            (5, 8, 16),
            {"groups": 3},
            r"groups must divide in_channels and out_channels; "
            r"got groups=3, in_channels=8, out_channels=16\. "
            r"Use 1, 2, 4 or 8\.",
        ),
        ((8, 100, 0), (5, 1, 16), {}, r"in_channels must be at least 1; got 0\."),
        # a rule of ConvSpec, under the name of the call
        (
            (8, 10, 3),
            (15, 3, 16),
            {},
            r"the kernel must not be longer than the padded input on axis w; "
            r"got kernel length 15, padded input length 10\.",
        ),
        ((0, 10, 3), (15, 3, 16), {}, r"the kernel must not be longer than the padded input on axis w"),
        ((8, 10, 3), (5, 3, 16), {"stride": 0}, r"stride must be at least 1; got 0\. Use 1 or more\."),
        ((8, 10, 3), (5, 3, 16), {"groups": True}, r"groups must be an integer; got True of type bool\."),
        ((8, 10, 3), (5, 3, 16), {"layout": "NHWC"}, r"layout of conv1d must be NWC or NCW; got 'NHWC'\."),
    ],
)
def test_messages(x_shape, kernel_shape, options, message):
    with pytest.raises(ShapeError, match="^my_conv: (?:.* )?" + message):
        call(x_shape, kernel_shape, function="my_conv", **options)


@pytest.mark.parametrize(
    "bias_shape, message",
    [
        (
            (1, 16),
            r"the bias must have shape \(16,\), one for each output; got \(1, 16\)\. Use bias\.reshape\(-1\)\.",
        ),
        ((8,), r"the bias must have shape \(16,\), one for each output; got \(8,\)\. Give 16 numbers\."),
        ((), r"got \(\)\. Give 16 numbers\."),
    ],
)
def test_bias(bias_shape, message):
    with pytest.raises(ShapeError, match="^conv1d: .*" + message):
        call((8, 10, 3), (5, 3, 16), bias_shape)


@pytest.mark.parametrize(
    "x, kernel, bias, message",
    [
        ("int64", F32, None, r'x must be float32 or float64; got int64\. Convert: x\.astype\("float32"\)\.'),
        ("bool", F32, None, r'got bool\. Convert: x\.astype\("float32"\)\.'),
        ("float16", F32, None, r'got float16\. Convert: x\.astype\("float32"\)\.'),
        ("bfloat16", F32, None, r'got bfloat16\. Convert: x\.astype\("float32"\)\.'),
        (
            "object",
            F32,
            None,
            r"got object\. The rows of x probably differ in length: pad or cut them to one length\.",
        ),
        ("complex64", F32, None, r"got complex64\. Convolve x\.real and x\.imag apart\."),
        ("str160", F32, None, r"got str160\. Encode x as numbers first\."),
        (
            F32,
            "int8",
            None,
            r'kernel must be float32 or float64; got int8\. Convert: kernel\.astype\("float32"\)\.',
        ),
        (F32, F32, "int8", "bias must be float32 or float64; got int8"),
        (
            "float64",
            F32,
            None,
            r'x and kernel must have one dtype; got x float64, kernel float32\. Use x\.astype\("float32"\)\.',
        ),
        (
            F32,
            "float64",
            "float64",
            r"x, kernel and bias must have one dtype; "
            r"got .*\. "
            r'Use kernel\.astype\("float32"\) and bias\.astype\("float32"\)\.',
        ),
    ],
)
def test_dtypes(x, kernel, bias, message):
    bias_shape = None if bias is None else (16,)
    with pytest.raises(DtypeError, match="^conv1d: (?:.* )?" + message):
        spec_from_call("conv1d", (8, 10, 3), x, (5, 3, 16), kernel, bias_shape, bias, rank=1)


def test_the_outermost_name_is_the_one_shown():
    with (
        pytest.raises(FaltungError, match=r"^separable_conv1d: in_channels must be"),
        named("separable_conv1d"),
        named("conv1d"),
    ):
        ConvSpec(in_size=10, in_channels=0, out_channels=1, kernel_size=1)
