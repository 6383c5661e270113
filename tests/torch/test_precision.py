"""precision="exact": direct summation only, in every function and module, forward and in the gradients."""

import copy
import pickle

import pytest
import torch
from spiked import spiked

import faltung as ft
import faltung.torch
import faltung.torch.functional as F

CASES = {
    "channels first": {"layout": "NCW"},
    "channels last": {"layout": "NWC"},
}


def leaves(case):
    return torch.tensor(case.x, requires_grad=True), torch.tensor(case.kernel, requires_grad=True)


def checked(case, y, x, kernel):
    gradients = torch.autograd.grad(y, (x, kernel), torch.from_numpy(case.dy))
    case.check(y.detach().numpy(), *(gradient.numpy() for gradient in gradients))


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_functions(options):
    case = spiked(kernel_layout="OIW", **options)
    x, kernel = leaves(case)
    checked(case, F.conv1d(x, kernel, precision="exact", **options), x, kernel)
    with torch.no_grad():
        fast = F.conv1d(x, kernel, precision="exact", **options)
        assert torch.equal(fast, F.conv1d(x.requires_grad_(), kernel, precision="exact", **options))


def test_two_and_three_axes():
    for text in ("conv2d n1 h8 w60 ic32 oc32 kh3 kw3 f32", "conv3d n1 d4 h5 w30 ic16 oc16 kd3 kh3 kw3 f32"):
        spec = ft.ConvSpec.from_text(text).replace(layout=None, kernel_layout="OIW", precision="exact")
        x, kernel = torch.randn(spec.input_shape), torch.randn(spec.kernel_shape)
        x[(0, *(2,) * spec.rank, 0)] = 1e9
        convolve = getattr(F, spec.name)
        y = convolve(x, kernel, layout=spec.layout, precision="exact").numpy()
        expected, bound = (
            function(x.numpy(), kernel.numpy(), spec=spec) for function in (ft.reference.conv, ft.reference.bound)
        )
        assert (abs(y - expected) <= bound).all(), text


def test_transposed_functions_are_the_gradients_of_forward_ones():
    case = spiked(kernel_layout="OIW", layout="NCW")
    dy, kernel = torch.tensor(case.dy, requires_grad=True), torch.tensor(case.kernel, requires_grad=True)
    for bias in (None, torch.zeros(64)):
        dx = F.conv_transpose1d(dy, kernel, bias, precision="exact")
        by_dy, by_kernel = torch.autograd.grad(dx, (dy, kernel), torch.from_numpy(case.x))
        case.check(by_dy.numpy(), dx.detach().numpy(), by_kernel.numpy())


@pytest.mark.parametrize("kind", ["Conv1d", "LazyConv1d", "ConvTranspose1d", "LazyConvTranspose1d"])
def test_modules(kind):
    case = spiked(kernel_layout="OIW", layout="NCW")
    arguments = (64, 3) if kind.startswith("Lazy") else (64, 64, 3)
    module = getattr(faltung.torch, kind)(*arguments, bias=False, precision="exact")
    assert "precision=exact" in str(module)
    first, last = (case.dy, case.x) if "Transpose" in kind else (case.x, case.dy)
    module(torch.tensor(first))
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(case.kernel))
    for same in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module)), ft.accelerate(module)):
        assert same.precision == "exact" and "precision=exact" in str(same)
        x = torch.tensor(first, requires_grad=True)
        y = same(x)
        by_x, by_kernel = torch.autograd.grad(y, (x, same.weight), torch.from_numpy(last))
        y, by_x = (by_x, y) if "Transpose" in kind else (y, by_x)
        case.check(y.detach().numpy(), by_x.detach().numpy(), by_kernel.numpy())


def test_the_default_is_high_and_shows_nowhere():
    module = faltung.torch.Conv1d(3, 4, 3)
    accelerated = ft.accelerate(torch.nn.Conv1d(3, 4, 3))
    for each in (module, accelerated):
        assert each.precision is None and "precision" not in str(each) and "precision" not in vars(each)
    accelerated.precision = "exact"
    assert "precision=exact" in str(accelerated)


def test_compiled_and_transformed():
    case = spiked(kernel_layout="OIW", layout="NCW")
    x, kernel = leaves(case)
    compiled = torch.compile(lambda x, w: F.conv1d(x, w, precision="exact"), fullgraph=True, backend="aot_eager")
    checked(case, compiled(x, kernel), x, kernel)
    with torch.no_grad():
        y = torch.func.vmap(lambda x: F.conv1d(x, kernel, precision="exact"))(x)
        assert (
            abs(y.numpy() - ft.reference.conv(case.x, case.kernel, spec=case.spec))
            <= ft.reference.bound(case.x, case.kernel, spec=case.spec)
        ).all()


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d", "LazyConv2d"])
def test_another_word(name):
    arguments = (4, 3) if name.startswith("Lazy") else (3, 4, 3)
    with pytest.raises(ft.ShapeError, match=rf"{name}: precision must be high or exact; got 'exakt'\. Did you mean"):
        getattr(faltung.torch, name)(*arguments, precision="exakt")
    with pytest.raises(ft.ShapeError, match=r"conv1d: precision must be high or exact; got 'low'"):
        F.conv1d(torch.ones(1, 3, 9), torch.ones(4, 3, 3), precision="low")
    with pytest.raises(ft.ShapeError, match=r"conv_transpose1d: precision must be high or exact; got 'low'"):
        F.conv_transpose1d(torch.ones(1, 3, 9), torch.ones(3, 4, 3), precision="low")
    x, kernel = torch.ones(1, 3, 9, dtype=torch.bfloat16), torch.ones(4, 3, 3, dtype=torch.bfloat16)
    with pytest.raises(ft.ShapeError, match=r"conv1d: precision must be high or exact; got 'low'"):
        F.conv1d(x, kernel, precision="low")  # PyTorch would compute it, and not be told
