"""What PyTorch does with functions: compile, export, trace, batch, differentiate, cast and profile them."""

import copy

import pytest
import torch
from torch import _vmap_internals, nn
from torch.autograd.functional import jacobian
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

import faltung.torch
import faltung.torch.functional as F
from faltung.spec.options import ConvOptions
from faltung.torch import operators

X = torch.Generator().manual_seed(0)

pytestmark = pytest.mark.filterwarnings(  # PyTorch's own modules use what it deprecates
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning"
)


def randn(*shape, **options):
    return torch.randn(*shape, generator=X, **options)


class Net(nn.Module):
    """One layer of each kind that has a way of its own."""

    def __init__(self, nn=faltung.torch):
        super().__init__()
        self.first = nn.Conv1d(3, 8, 5, padding=2)
        self.reflecting = nn.Conv1d(8, 8, 3, padding=1, padding_mode="reflect", groups=2)
        self.strided = nn.Conv1d(8, 6, 4, stride=2, dilation=2, bias=False)
        self.up = nn.ConvTranspose1d(6, 4, 4, stride=2, padding=1, output_padding=1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.up(torch.relu(self.strided(self.reflecting(x))))


def both_nets():
    ours, theirs = Net(), Net(torch.nn)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def losses_and_gradients(model, call, x):
    model.zero_grad()
    loss = call(x).square().mean()
    loss.backward()
    return loss.detach(), [parameter.grad.clone() for parameter in model.parameters()]


def assert_same(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_compile_in_one_graph_with_gradients(backend):
    ours, theirs = both_nets()
    compiled = torch.compile(ours, fullgraph=True, backend=backend)
    x = randn(2, 3, 40)
    with torch.no_grad():
        assert_same(compiled(x), theirs(x))
    assert_same(losses_and_gradients(ours, compiled, x), losses_and_gradients(theirs, theirs, x))


def test_compile_for_every_length():
    ours, theirs = both_nets()
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager", dynamic=True)
    for length in (30, 40, 57):
        x = randn(2, 3, length)
        assert_same(compiled(x), theirs(x))


@pytest.mark.parametrize("padding", ["same", "causal", ((2, 0),)])
def test_compile_paddings_that_pytorch_does_not_know(padding):
    layer = faltung.torch.Conv1d(3, 4, 3, stride=2, padding=padding, layout="NWC")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = randn(2, 21, 3)
    assert_same(compiled(x), layer(x))


def test_compile_of_what_pytorch_computes():
    ours, theirs = (net.bfloat16() for net in both_nets())
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    x = randn(2, 3, 40).bfloat16()
    torch.testing.assert_close(compiled(x), theirs(x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("strict", [False, True])
def test_export_with_a_dynamic_batch(strict):
    ours, theirs = both_nets()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(ours, (randn(4, 3, 40),), dynamic_shapes=({0: batch},), strict=strict)
    assert "faltung" not in str(program.graph)
    x = randn(7, 3, 40)
    assert_same(program.module()(x), theirs(x))


@pytest.mark.parametrize("name", ["convolve", "input_gradient", "kernel_gradient"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_operators_keep_the_rules_of_pytorch(name, channels_last):
    x, kernel, bias = randn(2, 4, 9), randn(6, 2, 3), randn(6)
    dy, options = randn(2, 6, 5), ([2], [1, 1], [1], 2, "zeros", channels_last, "high")
    operands = {
        "convolve": (x, kernel, bias),
        "input_gradient": (dy, kernel, randn(4), [9]),
        "kernel_gradient": (x, dy, [3]),
    }[name]
    for operand in operands:
        if isinstance(operand, torch.Tensor):
            operand.requires_grad_()
    torch.library.opcheck(getattr(torch.ops.faltung, name).default, (*operands, *options))


def test_vmap_over_inputs_kernels_and_both():
    x, kernel, bias = randn(5, 2, 4, 9), randn(5, 6, 2, 3), randn(5, 6)
    options = {"stride": 2, "padding": 1, "groups": 2}

    def one(x, kernel, bias):
        return F.conv1d(x, kernel, bias, **options)

    for in_dims in [(0, None, None), (None, 0, None), (0, 0, 0), (None, None, 0), (0, None, 0)]:
        arguments = [tensor if dim == 0 else tensor[0] for tensor, dim in zip((x, kernel, bias), in_dims, strict=True)]
        each = [
            one(*(tensor[i] if dim == 0 else tensor for tensor, dim in zip(arguments, in_dims, strict=True)))
            for i in range(5)
        ]
        assert_same(vmap(one, in_dims)(*arguments), torch.stack(each))
    moved = vmap(one, (2, 1, None), out_dims=1)(x.movedim(0, 2), kernel.movedim(0, 1), bias[0])
    assert_same(moved, torch.stack([one(x[i], kernel[i], bias[0]) for i in range(5)], 1))


def test_vmap_over_transposed_and_twice():
    x, kernel = randn(3, 5, 2, 6, 9), randn(6, 4, 3)
    transposed = vmap(vmap(lambda x: F.conv_transpose1d(x, kernel, stride=2)))(x)
    assert_same(transposed[1, 2], F.conv_transpose1d(x[1, 2], kernel, stride=2))


def test_gradient_of_each_sample():
    ours, theirs = both_nets()

    def loss(parameters, model, x):
        return functional_call(model, parameters, (x[None],)).square().sum()

    x = randn(6, 3, 30)
    mine, peers = (
        vmap(grad(loss), in_dims=(None, None, 0))(dict(model.named_parameters()), model, x) for model in (ours, theirs)
    )
    assert_same(mine, peers)


def test_compile_of_batched_gradients():
    x, kernel = randn(4, 1, 2, 9), randn(3, 2, 3)

    def slopes(kernel, x):
        return vmap(grad(lambda kernel, x: F.conv1d(x, kernel, padding=1).pow(2).sum()), (None, 0))(kernel, x)

    assert_same(torch.compile(slopes, fullgraph=True, backend="aot_eager")(kernel, x), slopes(kernel, x))


def test_jacobian_and_hessian():
    x, kernel = randn(1, 2, 6, dtype=torch.float64), randn(3, 2, 3, dtype=torch.float64)

    def ours(kernel):
        return F.conv1d(x, kernel, padding=1).pow(3).sum()

    def theirs(kernel):
        return nn.functional.conv1d(x, kernel, padding=1).pow(3).sum()

    assert_same(jacrev(grad(ours))(kernel), jacrev(grad(theirs))(kernel))
    assert_same(hessian(ours)(kernel), hessian(theirs)(kernel))


def test_forward_mode_goes_to_pytorch():
    x, kernel = randn(1, 2, 6), randn(3, 2, 3)
    ours = jvp(lambda x: F.conv1d(x, kernel), (x,), (torch.ones_like(x),))
    theirs = jvp(lambda x: nn.functional.conv1d(x, kernel), (x,), (torch.ones_like(x),))
    assert_same(ours, theirs)


SMALL = {"stride": 2, "padding": 1, "groups": 2}


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_jacobian_and_hessian_of_old_batched(strategy):
    operands = randn(2, 4, 9).double(), randn(6, 2, 3).double(), randn(6).double()

    def of(functional):
        return lambda *operands: functional.conv1d(*operands, **SMALL)

    def cubes_of(functional):
        return lambda *operands: of(functional)(*operands).pow(3).sum()

    ours, theirs = (jacobian(of(f), operands, vectorize=True, strategy=strategy) for f in (F, nn.functional))
    assert_same(ours, theirs)
    words = {"vectorize": True, "outer_jacobian_strategy": strategy}
    ours, theirs = (torch.autograd.functional.hessian(cubes_of(f), operands, **words) for f in (F, nn.functional))
    assert_same(ours, theirs)


def test_gradients_of_many_at_once():
    ours, theirs = both_nets()
    x = randn(2, 3, 30)
    dy = randn(5, *ours(x).shape)
    mine, peers = (
        torch.autograd.grad(net(x), list(net.parameters()), dy, is_grads_batched=True) for net in (ours, theirs)
    )
    assert_same(mine, peers)


@pytest.mark.parametrize("operator", ["input_gradient", "kernel_gradient"])
def test_the_vmap_of_old_within_itself(operator):
    options = ConvOptions((1,), ((1, 1),), (1,), 1, "NCW", "OIW")
    kernel, outer, inner = randn(4, 4, 3), randn(2, 2, 4, 5), randn(3, 2, 4, 5)

    def ours(a, b):
        if operator == "input_gradient":
            return operators.input_gradient(a + b, kernel, None, [5], options)
        return operators.kernel_gradient(a, b, [3], options)

    nested = _vmap_internals._vmap(lambda a: _vmap_internals._vmap(lambda b: ours(a, b))(inner))(outer)
    each = torch.stack([torch.stack([ours(a, b) for b in inner]) for a in outer])
    assert_same(nested, each)


def test_second_gradients_in_eager_mode():
    ours, theirs = both_nets()
    x = randn(2, 3, 30)

    def penalty(model):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(leaf).square().sum(), leaf, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), list(model.parameters()), allow_unused=True)

    assert_same(penalty(ours)[:5], penalty(theirs)[:5])


def test_checkpointing():
    ours, theirs = both_nets()
    x = randn(2, 3, 30)
    again = losses_and_gradients(ours, lambda x: torch.utils.checkpoint.checkpoint(ours, x, use_reentrant=False), x)
    assert_same(again, losses_and_gradients(theirs, theirs, x))


def test_autocast_is_pytorchs():
    ours, theirs = both_nets()
    x = randn(2, 3, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, peer = ours(x), theirs(x)
    assert y.dtype is torch.bfloat16 and torch.equal(y, peer)
    y.float().sum().backward()
    assert ours.first.weight.grad.dtype is torch.float32


def test_symbolic_trace_and_make_fx():
    ours, theirs = both_nets()
    x = randn(2, 3, 40)
    assert_same(torch.fx.symbolic_trace(ours)(x), theirs(x))
    traced = make_fx(lambda x: F.conv1d(x, ours.first.weight, padding="causal"))(x)
    assert "torch.ops.faltung.convolve" in traced.code
    assert_same(traced(x), F.conv1d(x, ours.first.weight, padding="causal"))


def test_the_profiler_sees_the_operators():
    ours, _ = both_nets()
    with torch.profiler.profile() as profile, torch.no_grad():
        ours(randn(2, 3, 40))
    assert {"faltung::convolve", "faltung::input_gradient"} <= {event.key for event in profile.key_averages()}


def test_a_copy_and_a_pickle_of_a_used_module(tmp_path):
    ours, x = Net(), randn(2, 3, 40)
    y = ours(x)
    torch.save(ours, tmp_path / "net.pt")
    for again in (copy.deepcopy(ours), torch.load(tmp_path / "net.pt", weights_only=False)):
        assert torch.equal(again(x), y)
