"""The oracle of the gradients: the adjoint identity, PyTorch's autograd, and numbers worked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import conv_specs, random_arrays

from faltung import reference
from faltung.spec import ACTIVATIONS, PADDING_MODES, ConvSpec

TORCH_CONV = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def random_dy(spec: ConvSpec, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(spec.output_shape)


def all_gradients(x, kernel, dy, spec):
    """Our gradients of x, kernel and bias, and their bounds."""
    return [
        (reference.input_gradient(dy, kernel, spec=spec), reference.input_gradient_bound(dy, kernel, spec=spec)),
        (reference.kernel_gradient(x, dy, spec=spec), reference.kernel_gradient_bound(x, dy, spec=spec)),
        (reference.bias_gradient(dy, spec=spec), reference.bias_gradient_bound(dy, spec=spec)),
    ]


def gradients_by_torch(x, kernel, dy, spec, dtype=torch.float64):
    """The gradients of x, kernel and bias that PyTorch's autograd finds for the padded, plain convolution."""
    arrays = (x, kernel, np.zeros(spec.out_channels))
    leaves = [torch.tensor(array, dtype=dtype, requires_grad=True) for array in arrays]
    first = leaves[0].reshape(spec.num_samples, *x.shape[len(spec.batch) :])
    first = first.movedim(-1, 1) if spec.is_channels_last else first
    oi = leaves[1] if spec.kernel_layout.startswith("O") else leaves[1].movedim((-1, -2), (0, 1))
    pads = [end for pair in reversed(spec.padding) for end in pair]
    # copies, for their strides: see by_torch in test_reference.py
    padded = torch.nn.functional.pad(
        first.clone(memory_format=torch.contiguous_format), pads, TORCH_MODES[spec.padding_mode]
    )
    y = TORCH_CONV[spec.rank](padded, oi.contiguous(), leaves[2], spec.stride, 0, spec.dilation, spec.groups)
    y = (y.movedim(1, -1) if spec.is_channels_last else y).reshape(spec.output_shape)
    return [gradient.numpy() for gradient in torch.autograd.grad(y, leaves, torch.tensor(dy, dtype=dtype))]


@settings(max_examples=200, deadline=None)
@given(conv_specs(activations=[None]))
def test_both_gradients_are_adjoints_of_the_convolution(spec):
    x, kernel, _ = random_arrays(spec, integers=True)
    dy = np.random.default_rng(1).integers(-4, 5, spec.output_shape)
    inner = np.vdot(reference.conv(x, kernel, spec=spec.replace(bias=False)), dy)
    assert np.vdot(x, reference.input_gradient(dy, kernel, spec=spec)) == inner
    assert np.vdot(kernel, reference.kernel_gradient(x, dy, spec=spec)) == inner


@settings(max_examples=100, deadline=None)
@given(conv_specs(activations=[None], dtypes=["float64"]))
def test_every_gradient_agrees_with_pytorch_in_float64(spec):
    if not spec.num_samples or 0 in spec.in_size:  # PyTorch refuses an empty axis
        return
    x, kernel, _ = random_arrays(spec)
    dy = random_dy(spec)
    theirs = gradients_by_torch(x, kernel, dy, spec)
    for (ours, bound), other in zip(all_gradients(x, kernel, dy, spec), theirs, strict=True):
        assert ours.shape == bound.shape == other.shape and ours.dtype == np.float64
        assert np.all(abs(ours - other) <= bound)


@settings(max_examples=60, deadline=None)
@given(conv_specs(activations=[None], dtypes=["float32"]))
def test_pytorch_in_float32_stays_within_the_bounds(spec):
    if not spec.num_samples or 0 in spec.in_size:
        return
    x, kernel, _ = random_arrays(spec)
    dy = random_dy(spec).astype("f4")
    theirs = gradients_by_torch(x, kernel, dy, spec, torch.float32)
    for (ours, bound), other in zip(all_gradients(x, kernel, dy, spec), theirs, strict=True):
        assert np.all(abs(ours - other) <= bound)


@pytest.mark.parametrize("mode, expected", [
    ("zeros", [100, 1000, 10000]),
    ("reflect", [100, 1010 + 100000, 10001]),
    ("replicate", [111, 1000, 110000]),
    ("circular", [100100, 1001, 10010]),
])  # fmt: skip
def test_what_arrives_in_the_padding_goes_where_it_was_read(mode, expected):
    assert mode in PADDING_MODES
    spec = ConvSpec(in_size=3, in_channels=1, out_channels=1, kernel_size=1, padding=(2, 1), padding_mode=mode)
    dy = 10.0 ** np.arange(6).reshape(1, 6, 1)
    dx = reference.input_gradient(dy, np.ones((1, 1, 1)), spec=spec)
    np.testing.assert_array_equal(dx.ravel(), expected)


def test_the_bounds_are_as_stated():
    spec = ConvSpec.from_text("conv1d n1 w4 ic1 oc2 kw2 sw2 f32 exact")
    x, kernel = np.arange(1.0, 5).reshape(1, 4, 1), np.array([[[1.0, -2]], [[3, 4]]])
    dy = np.array([[[1.0, -1], [-2, 3]]])
    eps = 2.0**-23
    bound = reference.input_gradient_bound(dy, kernel, spec=spec).ravel()
    np.testing.assert_array_equal(bound, 2 * eps * np.array([3, 7, 8, 18]))
    bound = reference.kernel_gradient_bound(x, dy, spec=spec)[:, 0]
    np.testing.assert_array_equal(bound, 2 * eps * np.array([[7, 10], [10, 14]]))
    np.testing.assert_array_equal(reference.bias_gradient_bound(dy, spec=spec), 2 * eps * np.array([3, 4]))
    high = reference.input_gradient_bound(dy, kernel, spec=spec.replace(precision="high")).ravel()
    np.testing.assert_array_equal(high, 2 * eps * np.array([3, 7, 8, 18]) + 8 * eps * 18)


def test_inputs_that_no_window_meets_get_exactly_nothing():
    spec = ConvSpec.from_text("conv1d n1 w6 ic1 oc1 kw1 sw3 f32 exact")
    dy, kernel = np.ones((1, 2, 1)), np.ones((1, 1, 1))
    np.testing.assert_array_equal(reference.input_gradient(dy, kernel, spec=spec).ravel(), [1, 0, 0, 1, 0, 0])
    bound = reference.input_gradient_bound(dy, kernel, spec=spec).ravel()
    np.testing.assert_array_equal(bound > 0, [True, False, False, True, False, False])


def test_arrays_that_do_not_fit_the_spec():
    spec = ConvSpec.from_text("conv1d n1 w5 ic3 oc4 kw3")
    with pytest.raises(ValueError, match=r"dy must have the spec's output shape, \(1, 3, 4\); got \(1, 5, 4\)"):
        reference.bias_gradient(np.zeros((1, 5, 4)), spec=spec)


# --- the gradient before the activation

TORCH_ACTIVATIONS = {
    "relu": torch.nn.functional.relu,
    "relu6": torch.nn.functional.relu6,
    "leaky_relu": lambda z: torch.nn.functional.leaky_relu(z, 0.2),
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": lambda z: torch.nn.functional.softplus(z, threshold=100.0),
    "hard_sigmoid": torch.nn.functional.hardsigmoid,
    "hard_silu": torch.nn.functional.hardswish,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_of_activations_are_those_of_pytorchs_autograd(name):
    z = np.concatenate([np.linspace(-40, 40, 8001), [-0.0, 1e-310, -1e-310, 1e20, -1e20]])
    leaf = torch.tensor(z, requires_grad=True)
    (theirs,) = torch.autograd.grad(TORCH_ACTIVATIONS[name](leaf).sum(), leaf)
    # PyTorch's sixth of hard_sigmoid is a float32
    most = 1e-8 if name == "hard_sigmoid" else 1e-14
    ours = reference.activation_gradient(z, name, ACTIVATIONS[name])
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=most)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_activation_is_bent_more_than_the_bound_says(name):
    spec = ConvSpec.from_text("conv1d n1 w1 ic1 oc1 kw1").replace(activation=name)
    z = np.linspace(-9, 9, 20000)  # whose steps no kink lies on
    slopes = reference.activation_gradient(z, name, spec.activation_parameter)
    bend, is_kink = abs(np.diff(slopes)) / (z[1] - z[0]), [False] * (z.size - 1)
    for kink in (0, 6, -3, 3):
        is_kink |= (z[:-1] < kink) & (kink < z[1:])
    assert bend[~np.asarray(is_kink)].max() <= reference._bend(spec) * (1 + 1e-6)


def test_the_output_gradient_and_its_bound_are_as_stated():
    spec = ConvSpec.from_text("conv1d n1 w4 ic1 oc1 kw1 bias relu f32")
    x, kernel, bias = np.array([1.0, 2, 3, 5]).reshape(1, 4, 1), np.ones((1, 1, 1)), np.array([-2.0])
    dy = np.array([7.0, 7, 7, -7]).reshape(1, 4, 1)
    dz = reference.output_gradient(x, kernel, bias, dy, spec=spec).ravel()
    np.testing.assert_array_equal(dz, [0, 0, 7, -7])
    bound = reference.output_gradient_bound(x, kernel, bias, dy, spec=spec).ravel()
    assert bound[1] > 7 > 1e-4 > max(bound[0], *bound[2:])  # a sum of 0 may be off to either side of the kink
    plain = reference.output_gradient(x, kernel, None, dy, spec=ConvSpec.from_text("conv1d n1 w4 ic1 oc1 kw1"))
    np.testing.assert_array_equal(plain, dy)
