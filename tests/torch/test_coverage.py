"""Who computes what, and that PyTorch's own kernel gives PyTorch's own result."""

import pytest
import torch
from torch import nn

import faltung.torch
import faltung.torch.functional as F

X, KERNEL = torch.randn(2, 3, 9), torch.randn(4, 3, 3)


class Named(torch.Tensor):
    """A tensor with operators of its own, those it inherits."""


@pytest.mark.parametrize("x, kernel, reason", [
    (X.bfloat16(), KERNEL.bfloat16(), "x is bfloat16, and faltung computes in float32 and float64"),
    (X.half(), KERNEL.half(), "x is float16, and faltung computes in float32 and float64"),
    (X.cfloat(), KERNEL.cfloat(), "x is complex64, and faltung computes in float32 and float64"),
    (X.to("meta"), KERNEL.to("meta"), "x is on meta, and faltung computes on processors"),
    (X, KERNEL.to("meta"), "the weight is on meta, and faltung computes on processors"),
    (X.to_mkldnn(), KERNEL, "x is stored as _mkldnn, and faltung reads strided memory"),
    (X.as_subclass(Named), KERNEL, "Named brings operators of its own"),
    (X, KERNEL.double(), "x is float32 and the weight float64, and faltung computes in one type"),
])  # fmt: skip
def test_what_goes_to_pytorch_and_why(x, kernel, reason):
    assert faltung.torch.why(F.conv1d, x, kernel) == f"PyTorch's own kernel: {reason}."
    try:
        theirs = nn.functional.conv1d(x, kernel)
    except (RuntimeError, NotImplementedError) as error:
        with pytest.raises(type(error)):
            F.conv1d(x, kernel)
        return
    ours = F.conv1d(x, kernel)
    assert type(ours) is type(theirs) and ours.dtype is theirs.dtype and ours.device == theirs.device
    if not x.is_meta and not kernel.is_meta:  # PyTorch 2.13 reads a weight on meta as if it were memory
        assert torch.equal(ours.to_dense(), theirs.to_dense())


def test_what_faltung_computes():
    assert faltung.torch.why(F.conv1d, X, KERNEL, padding="causal") == "faltung."
    assert faltung.torch.why(faltung.torch.Conv1d(3, 4, 3), X) == "faltung."
    assert faltung.torch.why(faltung.torch.ConvTranspose1d(3, 4, 3, stride=2), X) == "faltung."
    assert faltung.torch.why(faltung.torch.LazyConv1d(4, 3), X) == "faltung."


def test_modes():
    layer = faltung.torch.Conv1d(3, 4, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        why = faltung.torch.why(layer, X)
    assert why == "PyTorch's own kernel: autocast asks for bfloat16, and faltung computes in float32 and float64."
    with torch.autograd.forward_ad.dual_level():
        why = faltung.torch.why(layer, X)
    assert why == "PyTorch's own kernel: forward-mode derivatives are asked for, and faltung knows the backward ones."


@pytest.mark.parametrize("module, reason", [
    (nn.Conv1d(3, 4, 3), "it is a torch.nn.Conv1d, which ft.accelerate replaces"),
    (nn.Linear(3, 4), "Linear is not a convolution"),
    (
        faltung.torch.Conv1d(3, 4, 3, dtype=torch.bfloat16),
        "x is float32 and the weight bfloat16, and faltung computes in one type",
    ),
])  # fmt: skip
def test_modules_that_faltung_does_not_compute(module, reason):
    assert faltung.torch.why(module, X) == f"PyTorch's own kernel: {reason}."


@pytest.mark.parametrize("options, reason", [
    ({"output_padding": 1, "dilation": 2}, "output_padding 1 goes beyond padding 0 by a whole stride, 1"),
    ({"padding": -1}, "an option is out of its range, which PyTorch explains"),
    ({"padding": 6}, "the result would have no elements, which PyTorch explains"),
    ({"stride": (1, 1)}, "an option does not have 1 entries, which PyTorch explains"),
    ({"groups": 2}, None),
])  # fmt: skip
def test_transposed_sizes_that_pytorch_judges(options, reason):
    kernel = torch.randn(3, 4, 3) if reason else torch.randn(4, 4, 3)
    x = X if reason else torch.randn(2, 4, 9)
    why = faltung.torch.why(F.conv_transpose1d, x, kernel, **options)
    assert why == (f"PyTorch's own kernel: {reason}." if reason else "faltung.")
    wrong = faltung.torch.why(F.conv_transpose1d, x, torch.randn(5, 4, 3), **options)
    assert wrong == "PyTorch's own kernel: x and the weight do not fit together, which PyTorch explains."
    with pytest.raises(RuntimeError, match="to have 5 channels"):
        F.conv_transpose1d(x, torch.randn(5, 4, 3))


def test_a_function_that_is_not_ours():
    why = faltung.torch.why(nn.functional.conv1d, X, KERNEL)
    assert why == "PyTorch's own kernel: the function is not one of faltung.torch.functional's."
