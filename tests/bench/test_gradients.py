"""What the gradients must be, against PyTorch's double precision, and that a wrong one is found."""

import numpy as np
import pytest
import torch

from faltung.bench.arrays import canonical_kernel, random_arrays, random_output_gradient
from faltung.bench.gradients import expect_gradients
from faltung.errors import UnsupportedConvError
from faltung.spec import ConvSpec

TEXTS = [
    "conv1d n3 w40 ic4 oc6 kw5 sw3 dw2 pw4",
    "conv1d n3 w40 ic4 oc6 kw5 g2 pw7",
    "conv1d n1 w3 ic1 oc1 kw9 pw9",
    "conv1d n2 w30 ic8 oc8 kw5 g8",
    "conv2d n2 h9 w11 ic3 oc6 kh3 kw2 sh2 dw2 g3 ph1 pw2",
    "conv3d n1 d5 h6 w7 ic2 oc4 kd2 kh3 kw3 pd1 ph1 pw1",
]


def gradients(text: str) -> tuple[ConvSpec, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return dx and dkernel as PyTorch computes them, channels last, and the arrays they come from."""
    spec = ConvSpec.from_text(text)
    x, kernel, _ = random_arrays(spec)
    dy = random_output_gradient(spec)
    to_torch = [torch.from_numpy(np.moveaxis(array, -1, 1).astype(np.float64)) for array in (x, dy)]
    weight = torch.from_numpy(np.moveaxis(kernel, (-1, -2), (0, 1)).astype(np.float64))
    arguments = [tensor.requires_grad_() for tensor in (to_torch[0], weight)]
    padding = [low for low, _ in spec.padding]
    function = getattr(torch.nn.functional, spec.name)
    y = function(*arguments, stride=spec.stride, padding=padding, dilation=spec.dilation, groups=spec.groups)
    dx, dkernel = torch.autograd.grad(y, arguments, to_torch[1])
    turned = canonical_kernel(dkernel.numpy(), spec.replace(kernel_layout="OIW"))
    return spec, np.moveaxis(dx.numpy(), 1, -1).copy(), turned.copy(), [x, kernel, dy]


@pytest.mark.parametrize("text", TEXTS)
def test_they_are_those_of_pytorch(text: str) -> None:
    spec, dx, dkernel, arrays = gradients(text)
    of_x, of_kernel = expect_gradients(*arrays, spec=spec)
    assert of_x.error(dx) < 1e-3 and of_kernel.error(dkernel) < 1e-3
    assert of_x.size >= min(dx.size, 8) and of_kernel.size >= min(dkernel.size, 8)


@pytest.mark.parametrize("text", TEXTS)
def test_a_wrong_one_is_found(text: str) -> None:
    spec, dx, dkernel, arrays = gradients(text)
    of_x, of_kernel = expect_gradients(*arrays, spec=spec)
    dx.flat[-1] += 1.0
    dkernel.flat[0] = np.nan
    assert of_x.error(dx) > 8
    assert of_kernel.error(dkernel) == np.inf


@pytest.mark.parametrize("word", ["relu", "pw1 reflect"])
def test_what_is_not_linear_in_a_plain_way_is_refused(word: str) -> None:
    spec = ConvSpec.from_text(f"conv1d n1 w9 ic1 oc1 kw3 {word}")
    with pytest.raises(
        UnsupportedConvError, match="gradients are checked without activation and for padding with zeros"
    ):
        expect_gradients(*(np.zeros(1),) * 3, spec=spec)
