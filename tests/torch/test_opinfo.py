"""PyTorch's own operator tests as judge: every sample and every error of OpInfo for the convolutions.

One exception: "same" with a stride is an error there, and works here. OpInfo has no errors of transposed convolutions;
test_answers.py compares some.
"""

import warnings
from functools import partial

import pytest
import torch

import faltung.torch.functional as F

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what PyTorch's test suite imports warns of PyTorch's own plans
    from torch.testing._internal.common_methods_invocations import op_db

NAMES = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]
OPERATORS = {name: next(op for op in op_db if op.name == f"nn.functional.{name}") for name in NAMES}
DTYPES = [torch.float32, torch.float64]


def samples(name, dtype, requires_grad=False):
    """The samples as (number, input, arguments, options)."""
    for number, sample in enumerate(OPERATORS[name].sample_inputs("cpu", dtype, requires_grad)):
        yield number, sample.input, sample.args, sample.kwargs


def assert_agrees(ours, theirs, line):
    """Rounding differs from kernel to kernel: by so much of the largest value."""
    share = 1e-5 if theirs.dtype is torch.float32 else 1e-13
    atol = share * float(theirs.detach().abs().max()) if theirs.numel() else 0.0
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol, msg=lambda text: f"{line}: {text}")


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch, of its own copy
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_sample_agrees_in_value_and_gradients(name, dtype):
    for number, x, arguments, options in samples(name, dtype, requires_grad=True):
        line = f"{name}, sample {number}"
        ours = getattr(F, name)(x, *arguments, **options)
        theirs = getattr(torch.nn.functional, name)(x, *arguments, **options)
        assert_agrees(ours, theirs, line)
        with torch.no_grad():
            fast = getattr(F, name)(x, *arguments, **options)
        assert torch.equal(fast, ours), f"{line}: other bits without a gradient to come"

        leaves = [tensor for tensor in (x, *arguments) if isinstance(tensor, torch.Tensor)]
        dy = torch.randn_like(theirs)
        mine, peers = (torch.autograd.grad(y, leaves, dy) for y in (ours, theirs))
        for gradient, peer in zip(mine, peers, strict=True):
            assert_agrees(gradient, peer, line)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch, of its own copy
@pytest.mark.parametrize("name", NAMES)
def test_other_element_types_are_pytorchs(name):
    others = OPERATORS[name].dtypes - set(DTYPES)
    assert others >= {torch.float16, torch.bfloat16, torch.complex64, torch.int64}
    for dtype in others:
        for number, x, arguments, options in samples(name, dtype):
            ours, theirs = (
                getattr(functions, name)(x, *arguments, **options) for functions in (F, torch.nn.functional)
            )
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=partial("{}, {}: {}".format, dtype, number))


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_and_gradgradcheck_of_every_sample(name):
    for _, x, arguments, options in samples(name, torch.float64, requires_grad=True):
        tensors = [x, *(tensor for tensor in arguments if isinstance(tensor, torch.Tensor))]
        size = sum(tensor.numel() for tensor in tensors)

        def call(*tensors, arguments=arguments, options=options):
            return getattr(F, name)(*tensors, *arguments[len(tensors) - 1 :], **options)

        assert torch.autograd.gradcheck(call, tensors, fast_mode=size > 60, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(call, tensors, fast_mode=size > 60, check_batched_grad=True)


ERRORS = [
    (name, number, error) for name in NAMES[:3] for number, error in enumerate(OPERATORS[name].error_inputs("cpu"))
]


@pytest.mark.parametrize(
    "name, number, error", ERRORS, ids=lambda value: str(value) if isinstance(value, str | int) else ""
)
def test_every_error_input_raises(name, number, error):
    sample = error.sample_input
    if "not supported for strided convolutions" in error.error_regex:  # it works here
        y = getattr(F, name)(sample.input, *sample.args, **sample.kwargs)
        assert y.shape[2:] == tuple(-(-size // 2) for size in sample.input.shape[2:])
        return
    with pytest.raises(error.error_type, match=error.error_regex):
        getattr(F, name)(sample.input, *sample.args, **sample.kwargs)
