"""PyTorch modules read as graphs: every op of the tables and its traps, against the module in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models.graphs.reading import assert_close, islands, ops, outputs
from torch import nn

import faltung
from faltung.errors import ModelError, ShapeError
from faltung.models.graphs.torch import read_torch


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor) -> Any:
        parts = [*self._modules.values(), *self._parameters.values(), *self._buffers.values()]
        return self.function(*parts, *inputs)


def numbers(*shape: int) -> nn.Parameter:
    """A parameter, to be drawn."""
    return nn.Parameter(torch.zeros(shape))


def ready(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """The module in float64 and eval mode, every parameter and statistic drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.double))
                if name.endswith("running_var"):
                    tensor.abs_().add_(0.1)
    return module


def drawn(*shapes: tuple[int, ...], batch: int | None = None, seed: int = 1) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    wanted = [shape if batch is None else (batch, *shape[1:]) for shape in shapes]
    return tuple(torch.randn(shape, generator=generator, dtype=torch.double) for shape in wanted)


def check(module: nn.Module, *shapes: tuple[int, ...], expected: tuple[str, ...] = ()) -> Any:
    """Read with one sample, compare for one and five; the islands must be those expected. Returns the graph."""
    module = ready(module)
    read = read_torch(module, drawn(*shapes))
    assert all(batch in read.holds_for for batch in (1, 2, 5))
    for batch in (1, 5):
        inputs = drawn(*shapes, batch=batch)
        arrays = [x.numpy() for x in read.flatten(inputs, {})]
        found = read.assemble(outputs(read.graph, arrays))
        with torch.no_grad():
            wanted = module(*inputs)
        for ours, theirs in zip(*((x if isinstance(x, tuple) else (x,)) for x in (found, wanted)), strict=True):
            assert_close(ours, theirs)
    found_islands = islands(read.graph)
    assert len(found_islands) == len(expected), found_islands
    assert all(any(name in island for island in found_islands) for name in expected), found_islands
    return read.graph


LINE, PICTURE, VOLUME = (1, 4, 11), (1, 4, 9, 7), (1, 2, 5, 6, 7)

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    # convolutions
    "conv1d": (lambda: nn.Conv1d(4, 6, 3), LINE),
    "conv1d stride dilation": (lambda: nn.Conv1d(4, 6, 3, 2, 2, 2, bias=False), LINE),
    "conv1d same even": (lambda: nn.Conv1d(4, 6, 4, padding="same"), LINE),
    "conv1d same dilated": (lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=3), LINE),
    "conv1d valid": (lambda: nn.Conv1d(4, 6, 4, padding="valid"), LINE),
    "conv1d depthwise": (lambda: nn.Conv1d(4, 8, 3, groups=4, padding=1), LINE),
    "conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2), PICTURE),
    "conv2d same": (lambda: nn.Conv2d(4, 6, (4, 3), padding="same"), PICTURE),
    "conv3d": (lambda: nn.Conv3d(2, 3, 3, padding=1), VOLUME),
    **{
        f"conv padded by {mode}": (lambda mode=mode: nn.Conv1d(4, 3, 5, padding=2, padding_mode=mode), LINE)
        for mode in ("reflect", "replicate", "circular")
    },
    "conv2d padded by reflect, same": (lambda: nn.Conv2d(4, 3, 4, padding="same", padding_mode="reflect"), PICTURE),
    "transposed": (lambda: nn.ConvTranspose1d(4, 6, 4, 2, 1), LINE),
    "transposed, output padding, groups": (lambda: nn.ConvTranspose1d(4, 6, 3, 3, 1, 2, 2, dilation=2), LINE),
    "transposed 2d": (lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), groups=2, bias=False), PICTURE),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 3, 3, 2, 1, 1), VOLUME),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3)), LINE),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Conv1d(4, 6, 3)), LINE),
    "orthogonal": (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(11, 5)), LINE),
    # dense
    "linear": (lambda: nn.Linear(11, 5), LINE),
    "linear without bias": (lambda: nn.Linear(4, 5, bias=False), (1, 4)),
    "product with a parameter": (lambda: Call(lambda w, x: x @ w, w=numbers(11, 3)), LINE),
    "addmm": (lambda: Call(lambda b, w, x: torch.addmm(b, x, w), b=numbers(3), w=numbers(4, 3)), (1, 4)),
    # norms
    "batch norm 1d": (lambda: nn.BatchNorm1d(4), LINE),
    "batch norm of rows": (lambda: nn.BatchNorm1d(4, affine=False, eps=0.1), (1, 4)),
    "batch norm 2d": (lambda: nn.BatchNorm2d(4), PICTURE),
    "layer norm": (lambda: nn.LayerNorm(11), LINE),
    "layer norm of two axes": (lambda: nn.LayerNorm((4, 11), eps=1e-2), LINE),
    "layer norm, no numbers": (lambda: nn.LayerNorm(11, elementwise_affine=False), LINE),
    "layer norm, no shift": (lambda: nn.LayerNorm(11, bias=False), LINE),
    "layer norm of channels first": (lambda: Call(lambda n, x: n(x.mT).mT, n=nn.LayerNorm(4)), LINE),
    "rms norm": (lambda: nn.RMSNorm(11, eps=1e-5), LINE),
    "group norm": (lambda: nn.GroupNorm(2, 4), PICTURE),
    "group norm, no numbers": (lambda: nn.GroupNorm(2, 4, affine=False), LINE),
    "instance norm": (lambda: nn.InstanceNorm1d(4), LINE),
    "instance norm, affine": (lambda: nn.InstanceNorm2d(4, affine=True), PICTURE),
    "instance norm, running": (lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True), LINE),
    # pools
    "max pool": (lambda: nn.MaxPool1d(3), LINE),
    "max pool, ceil": (lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True), (1, 4, 12)),
    "max pool, dilated": (lambda: nn.MaxPool1d(3, 2, 1, dilation=2), LINE),
    "max pool 2d": (lambda: nn.MaxPool2d((3, 2), (2, 2), (1, 0), ceil_mode=True), PICTURE),
    "max pool 3d": (lambda: nn.MaxPool3d(2), VOLUME),
    "average pool": (lambda: nn.AvgPool1d(3, 2, 1), LINE),
    "average pool, ceil": (lambda: nn.AvgPool1d(3, 2, 1, ceil_mode=True), (1, 4, 12)),
    "average pool, padding not counted": (lambda: nn.AvgPool1d(3, 2, 1, count_include_pad=False), LINE),
    "average pool, ceil, padding not counted": (lambda: nn.AvgPool2d(3, 2, 1, True, False), (1, 4, 10, 8)),
    "average pool 2d": (lambda: nn.AvgPool2d((2, 3)), PICTURE),
    "average pool 3d": (lambda: nn.AvgPool3d(3, 2, 1), VOLUME),
    "adaptive average that divides": (lambda: nn.AdaptiveAvgPool1d(3), (1, 4, 12)),
    "adaptive average that does not": (lambda: nn.AdaptiveAvgPool1d(4), LINE),
    "adaptive average, finer": (lambda: nn.AdaptiveAvgPool2d((13, 3)), PICTURE),
    "adaptive average, one axis": (lambda: nn.AdaptiveAvgPool2d((1, None)), PICTURE),
    "adaptive average 3d": (lambda: nn.AdaptiveAvgPool3d((2, 4, 3)), VOLUME),
    "adaptive maximum": (lambda: nn.AdaptiveMaxPool1d(4), LINE),
    "adaptive maximum 2d": (lambda: nn.AdaptiveMaxPool2d((2, 5)), PICTURE),
    "global average": (lambda: nn.AdaptiveAvgPool2d(1), PICTURE),
    "global maximum": (lambda: nn.AdaptiveMaxPool1d(1), LINE),
    # resizing
    "nearest": (lambda: nn.Upsample(scale_factor=2), LINE),
    "nearest to a size": (lambda: nn.Upsample(size=17), LINE),
    "nearest by a fraction": (lambda: nn.Upsample(scale_factor=1.7), LINE),
    "nearest 2d": (lambda: nn.Upsample(scale_factor=(2, 3)), PICTURE),
    "nearest 3d": (lambda: nn.Upsample(scale_factor=2), VOLUME),
    "nearest exact": (lambda: nn.Upsample(size=17, mode="nearest-exact"), LINE),
    "nearest exact 2d": (lambda: nn.Upsample(scale_factor=1.5, mode="nearest-exact"), PICTURE),
    "linear, half pixels": (lambda: nn.Upsample(scale_factor=2, mode="linear"), LINE),
    "linear, smaller": (lambda: nn.Upsample(size=5, mode="linear"), LINE),
    "linear, aligned corners": (lambda: nn.Upsample(size=17, mode="linear", align_corners=True), LINE),
    "bilinear": (lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"), PICTURE),
    "bilinear, aligned corners": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), PICTURE),
    "trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), VOLUME),
    "bicubic": (lambda: nn.Upsample(size=(13, 4), mode="bicubic"), PICTURE),
    "bicubic, aligned corners": (lambda: nn.Upsample(size=(13, 4), mode="bicubic", align_corners=True), PICTURE),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), PICTURE),
    "pixel unshuffle": (lambda: nn.PixelUnshuffle(2), (1, 3, 4, 6)),
    "channel shuffle": (lambda: nn.ChannelShuffle(2), PICTURE),
    # padding
    "zero padding": (lambda: nn.ZeroPad1d((2, 1)), LINE),
    "constant padding": (lambda: nn.ConstantPad2d((1, 2, 0, 3), 3.5), PICTURE),
    "cropping": (lambda: nn.ConstantPad1d((-2, 1), 1.0), LINE),
    "reflection padding": (lambda: nn.ReflectionPad2d((1, 2, 0, 3)), PICTURE),
    "replication padding": (lambda: nn.ReplicationPad1d((12, 1)), LINE),
    "circular padding": (lambda: nn.CircularPad1d((3, 2)), LINE),
    "flatten": (lambda: nn.Flatten(), PICTURE),
    "flatten and more": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(252, 6), nn.Unflatten(1, (2, 3))), PICTURE),
    "flatten of the middle": (lambda: nn.Flatten(1, 2), PICTURE),
    "dropouts": (lambda: nn.Sequential(nn.Dropout(), nn.Dropout1d(), nn.AlphaDropout(), nn.Identity()), LINE),
    "softmax": (lambda: nn.Softmax(1), LINE),
    "softmax of the last axis": (lambda: nn.Softmax(-1), LINE),
    "softmin": (lambda: nn.Softmin(1), LINE),
    "log softmax": (lambda: nn.LogSoftmax(1), LINE),
    "softmax 2d": (lambda: nn.Softmax2d(), PICTURE),
}

ACTIVATIONS = {
    **{
        each.__name__: each for each in (nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softsign)
    },
    **{
        each.__name__: each
        for each in (nn.LogSigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LeakyReLU, nn.GELU)
    },
    **{each.__name__: each for each in (nn.ELU, nn.CELU, nn.Softplus, nn.PReLU, nn.RReLU)},
    "in place": lambda: nn.ReLU(inplace=True),
    "Hardtanh of other bounds": lambda: nn.Hardtanh(-0.3, 0.7),
    "LeakyReLU, steep": lambda: nn.LeakyReLU(0.3),
    "ELU of another alpha": lambda: nn.ELU(0.4),
    "CELU of another alpha": lambda: nn.CELU(0.4),
    "GELU by tanh": lambda: nn.GELU("tanh"),
    "Softplus, sharper": lambda: nn.Softplus(3.0, 30.0),
    "PReLU of channels": lambda: nn.PReLU(4),
    "Threshold": lambda: nn.Threshold(0.2, 0.2),
    "Threshold at 0": lambda: nn.Threshold(0.0, 0.0),
    "GLU": lambda: nn.GLU(1),
}

FUNCTIONS: dict[str, Callable[[torch.Tensor], Any]] = {
    "residual": lambda x: F.relu(x + F.pad(x, (1, -1))),
    "subtractions": lambda x: (1 - x) - torch.sub(x, x * 0.5, alpha=3) - 2,
    "products and quotients": lambda x: x * 3 / (x.abs() + 1) / 0.5,
    "1 over x": lambda x: 1 / (x + 20),
    "in place": lambda x: (x * 1).add_(1).mul_(2).relu_(),
    "powers": lambda x: x**2 + x**3 + (x.abs() + 1) ** 0.5 + (x.abs() + 1) ** -0.5 + 2**x + x**1,
    "power of a power": lambda x: (x.abs() + 0.1) ** x,
    "reciprocals": lambda x: torch.rsqrt(x.abs() + 1) + torch.reciprocal(x + 20) + torch.sqrt(x.abs()),
    "safe log": lambda x: torch.log(torch.clamp(x.square(), min=1e-6)),
    "logarithms": lambda x: torch.log2(x.abs() + 1) + torch.log10(x.abs() + 1),
    "exponential, sine, erf": lambda x: torch.exp(-x.abs()) + torch.sin(x) + torch.erf(x),
    "clamps": lambda x: (
        x.clamp(-0.5, 0.25) + x.clamp(max=0.3) + x.clamp_min(0.1) + torch.clamp(x, torch.tensor(0.0), x)
    ),
    "extremes": lambda x: torch.maximum(x, x.flip(0) * 0) + torch.minimum(x, torch.tensor(0.5).double()),
    "snake": lambda x: x + torch.sin(3 * x) ** 2 / 3,
    "gated": lambda x: torch.tanh(x[:, :2]) * torch.sigmoid(x[:, 2:]),
    "chomp": lambda x: x[:, :, :-2],
    "slices": lambda x: x[:, 1:, ::2] + x[:, -3:, :6],
    "slice beyond the end": lambda x: x[:, :, -50:40] * 2,
    "last one": lambda x: x[:, :, -1] + x[..., 0],
    "chunks": lambda x: torch.cat([part * n for n, part in enumerate(x.chunk(3, 2))], 2),
    "splits": lambda x: sum(part.mean(2) for part in x.split([2, 4, 5], 2)),
    "unbind": lambda x: sum(part * n for n, part in enumerate(x.unbind(1))),
    "narrow": lambda x: x.narrow(1, 1, 2) + x.narrow(1, -2, 2),
    "stack": lambda x: torch.stack([x, x + 1], 1) + torch.stack([x, x + 2], -3),
    "concat of channels": lambda x: torch.cat([x, x[:, :1], -x], dim=-2),
    "views": lambda x: x.view(x.size(0), 2, -1, x.size(2)).permute(0, 2, 1, 3).reshape(x.shape[0], -1),
    "batch into positions": lambda x: F.relu(x.reshape(-1, x.shape[2])).view(x.shape[0], 4, -1),
    "squeezes": lambda x: x.unsqueeze(1).squeeze(1).unsqueeze(-1).squeeze(-1).unsqueeze(0).squeeze(0),
    "transposes": lambda x: x.transpose(1, 2).mT.swapaxes(1, -1).movedim(1, 2).permute(0, 2, 1),
    "positions first": lambda x: x.permute(2, 0, 1).relu().permute(1, 2, 0),
    "expand": lambda x: x.mean(2, keepdim=True).expand(-1, -1, 7) + x[:, :1, :7].expand_as(x[:, :, :7]),
    "repeat": lambda x: x.repeat(1, 2, 3),
    "repeat_interleave": lambda x: x.repeat_interleave(3, dim=2),
    "means": lambda x: x.mean(-1) + x.mean((1, 2), keepdim=True).squeeze(-1) + x.sum(2) + x.sum(dim=(2,)),
    "extreme of an axis": lambda x: x.amax(2) + x.amin((2,)) + x.max(dim=2).values + x.min(2)[0],
    "spread": lambda x: x.std(2) + x.var(2) + x.std(2, correction=0) + x.var(-1, unbiased=False),
    "statistics pooling": lambda x: torch.cat([x.mean(2), x.var(2).clamp(min=1e-4).sqrt()], 1),
    "spread and mean": lambda x: sum(torch.std_mean(x, 2)) + torch.var_mean(x, dim=2, correction=0)[0],
    "norm": lambda x: x / x.norm(dim=1, keepdim=True),
    "logsumexp": lambda x: torch.logsumexp(x, 2),
    "interpolate": lambda x: F.interpolate(x, size=x.shape[-1] * 2) + F.interpolate(x, scale_factor=2.0, mode="linear"),
    "pools": lambda x: F.max_pool1d(x, 2) + F.avg_pool1d(x, 2) + F.adaptive_avg_pool1d(x, 5),
    "functional pad": lambda x: (
        F.pad(F.pad(x, (3, 1), "reflect"), (1, 0), value=2.0) + F.pad(x, (2, 3), mode="replicate")
    ),
    "softmaxes": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1) + x.softmax(0 if x.dim() == 1 else 2),
    "casts that are none": lambda x: x.to(torch.double).type_as(x).contiguous().detach().clone() + 0,
    "arange": lambda x: x + torch.arange(11) + torch.linspace(0, 1, 11, dtype=torch.double)[None, None],
    "addcmul": lambda x: torch.addcmul(x, x, x + 1, value=0.3) + torch.lerp(x, x * 2, 0.25),
    "group norm by hand": lambda x: (x.view(x.shape[0], 2, -1) - x.view(x.shape[0], 2, -1).mean(-1, True)).view_as(x),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module(name: str) -> None:
    make, shape = MODULES[name]
    check(make(), shape)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation(name: str) -> None:
    graph = check(ACTIVATIONS[name](), LINE)
    assert set(ops(graph)) <= {"map", "slice"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str) -> None:
    has_flip = name == "extremes"
    check(Call(FUNCTIONS[name]), LINE, expected=("flip",) if has_flip else ())


class Reader(nn.Module):
    """Convolution and an LSTM whose state is made for the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv1d(4, 6, 3, padding=1)
        self.middle = nn.LSTM(6, 5, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.middle(F.relu(self.front(x)).mT)[0]


ISLANDS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "lstm": (Reader, ("lstm",)),
    "gru": (lambda: Call(lambda cell, x: cell(x.permute(2, 0, 1))[1][0], cell=nn.GRU(4, 5)), ("gru",)),
    "attention": (
        lambda: Call(lambda a, x: x.mT + a(x.mT, x.mT, x.mT)[0], a=nn.MultiheadAttention(4, 2, batch_first=True)),
        ("bmm", "bmm"),
    ),
    "attention in one": (
        lambda: Call(lambda q, x: F.scaled_dot_product_attention(q(x), x, x), q=nn.Linear(11, 11)),
        ("scaled_dot_product_attention",),
    ),
    "einsum": (lambda: Call(lambda x: torch.einsum("bct,bdt->bcd", x, x)), ("einsum",)),
    "product of two values": (lambda: Call(lambda x: (x @ x.mT).softmax(-1) @ x), ("matmul", "matmul")),
    "spectrum": (
        lambda: Call(lambda w, x: torch.stft(x[:, 0], 4, 2, window=w, return_complex=True).abs().log(), w=numbers(4)),
        ("stft",),
    ),
    "comparison": (lambda: Call(lambda x: torch.where(x > 0, x, 2 * x).cumsum(2) + 1), ("gt", "cumsum")),
    "a token for each sample": (
        lambda: Call(lambda t, x: torch.cat([t.expand(x.shape[0], -1, -1), x], 1), t=numbers(1, 1, 11)),
        ("expand",),
    ),
    "a kernel that is computed": (lambda: Call(lambda x: F.conv1d(x, x.mean((0, 2))[None, :, None])), ("conv1d",)),
    "indices of a pool": (
        lambda: Call(lambda x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2)),
        ("max_pool", "unpool"),
    ),
    "some places": (lambda: Call(lambda x: F.relu(x)[:, [2, 0, 1]]), ("index",)),
    "jumping threshold": (lambda: nn.Threshold(0.5, 7.0), ("threshold",)),
    "statistics of the batch": (lambda: nn.BatchNorm1d(4, track_running_stats=False), ("batch_norm",)),
}


@pytest.mark.parametrize("name", ISLANDS)
def test_what_no_table_covers_is_an_island(name: str) -> None:
    make, expected = ISLANDS[name]
    graph = check(make(), LINE, expected=expected)
    assert all(node["reason"] for node in graph.nodes if node.op == "island")


def test_embedding() -> None:
    module = ready(nn.Sequential(nn.Embedding(7, 3, padding_idx=0), nn.Flatten(), nn.Linear(12, 2)))
    read = read_torch(module, (torch.zeros(1, 4, dtype=torch.long),))
    indices = torch.tensor([[0, 6, 2, 1], [3, 3, 5, 4]])
    assert ops(read.graph)[0] == "embedding"
    assert_close(outputs(read.graph, [indices.numpy()])[0], module(indices).detach())


class Many(nn.Module):
    """Several inputs by name, a dictionary out, with what is no array."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor, others: dict[str, torch.Tensor], scale: float = 1.0) -> dict[str, Any]:
        y = self.shared(self.shared(x)) * scale
        return {"sum": y + others["a"], "pair": (y, x), "none": None, "weight": self.shared.weight}


def test_structures_of_inputs_and_outputs() -> None:
    module = ready(Many())
    x, a = drawn((2, 3), (2, 3))
    read = read_torch(module, (x, {"a": a}, 2.0))
    for flat in (read.flatten((x, {"a": a}, 2.0), {}), read.flatten((x,), {"others": {"a": a}, "scale": 2.0})):
        found, wanted = read.assemble(outputs(read.graph, [each.numpy() for each in flat])), module(x, {"a": a}, 2.0)
        assert found.keys() == wanted.keys() and found["none"] is None
        assert_close(found["sum"], wanted["sum"].detach())
        assert_close(found["pair"][0], wanted["pair"][0].detach())
        assert_close(found["pair"][1], x)
        assert_close(found["weight"], module.shared.weight.detach())
    with pytest.raises(ShapeError, match="compiled for"):
        read.flatten((x, {"b": a}, 2.0), {})
    with pytest.raises(ShapeError, match=r"compiled with 2\.0"):
        read.flatten((x, {"a": a}, 3.0), {})


def test_weights_are_read_as_they_are_now() -> None:
    module = ready(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3)), nn.BatchNorm1d(4)))
    read = read_torch(module, drawn(LINE))
    (x,) = drawn(LINE)
    versions = {constant.version for constant in read.graph.constants.values()}

    def state() -> list[Any]:
        return [version() for version in versions if version]

    def replace() -> None:
        module[0].bias = nn.Parameter(torch.ones(4, dtype=torch.double))

    def twice() -> None:
        for number in (1.0, 2.0):
            module[1].running_mean = torch.full((4,), number, dtype=torch.double)

    def optimise() -> None:
        module(x).sum().backward()
        torch.optim.SGD(module.parameters(), 0.1).step()

    before = outputs(read.graph, [x.numpy()])[0]
    changes = [
        optimise,
        lambda: module.load_state_dict({k: v * 2 for k, v in module.state_dict().items()}),
        replace,
        twice,
    ]
    for change in changes:
        seen = state()
        assert seen == state()
        change()
        assert seen != state()
        after = outputs(read.graph, [x.numpy()])[0]
        assert not np.array_equal(before, after)
        assert_close(after, module(x).detach())
        before = after


def test_what_never_changes_is_read_once() -> None:
    read = read_torch(Call(lambda x: x + torch.arange(11.0)), (torch.zeros(LINE),))
    (constant,) = read.graph.constants.values()
    assert constant.version is None and constant.read() is constant.read()


class Window(nn.Module):
    """A module that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.BatchNorm1d(4).train(), r"training mode, where a call changes .*running_mean.*Call model\.eval\(\) first"),
        (nn.Sequential(nn.Conv1d(4, 4, 3), nn.Dropout()).train(), r"training mode, where dropout.*at random"),
        (Window().eval(), "a call changes calls; a compiled network holds no state"),
        (Call(lambda x: x * 2 if x.sum() > 0 else x).eval(), "torch.export cannot follow Call: "),
        (Call(lambda x: x.shape[0]).eval(), "returns a size"),
    ],
    ids=["batch norm", "dropout", "state", "branch", "size"],
)
def test_what_cannot_be_compiled_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_torch(module, (torch.randn(LINE),))


def test_training_mode_that_changes_nothing_is_read() -> None:
    module = nn.Sequential(nn.Conv1d(4, 4, 3), nn.Dropout(0.0), nn.ReLU()).train()
    assert ops(read_torch(module, (torch.randn(LINE),)).graph) == ["conv", "map"]
    assert module.training


def test_dropout_that_stays_on_is_random() -> None:
    read = read_torch(Call(lambda x: F.dropout(x, 0.5, training=True)).eval(), (torch.ones(LINE),))
    ones = np.ones(LINE, np.float32)
    first, second = (outputs(read.graph, [ones])[0] for _ in range(2))
    assert islands(read.graph) == ["dropout"] and not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("function", "given", "holds"),
    [
        (lambda x: x.squeeze() * 2, 3, [False, True, True]),
        (lambda x: x.squeeze() * 2, 1, [True, False, False]),
        (lambda x: x.view(3, 44) * 2, 3, [False, False, True]),
    ],
    ids=["squeeze", "squeeze of one", "tied"],
)
def test_a_graph_tells_for_which_batches_it_holds(function: Any, given: int, holds: list[bool]) -> None:
    module = Call(function).eval()
    (x,) = drawn(LINE, batch=given)
    read = read_torch(module, (x,))
    assert [batch in read.holds_for for batch in (1, 2, 3)] == holds
    assert_close(outputs(read.graph, [x.numpy()])[0], module(x))


@pytest.mark.parametrize("name", ["lstm", "some places", "spectrum", "a token for each sample"])
def test_a_network_with_an_island_runs(name: str) -> None:
    module = ready(ISLANDS[name][0]()).float()
    (x,) = drawn(LINE, batch=3)
    found = faltung.compile(module, x.float())(x.float())
    assert_close(found, module(x.float()).detach(), 1e-5)


def test_a_network_reads_the_model_again_for_such_a_batch() -> None:
    module = Call(lambda x: F.relu(x).squeeze()).eval()
    (x,) = drawn(LINE, batch=3)
    net = faltung.compile(module, x.float())
    for batch in (x.float(), x[:1].float()):
        assert torch.equal(net(batch), module(batch))


def test_writing_in_place_is_not_seen_by_islands_or_inputs() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        y = x.cumsum(2)
        view = y[:, 0]
        y.relu_()
        x.add_(1)
        return y + view[:, None] + x

    (x,) = drawn(LINE)
    read = read_torch(Call(forward).eval(), (x,))
    array = x.numpy().copy()
    assert_close(outputs(read.graph, [array])[0], forward(x.clone()))
    assert np.array_equal(array, x.numpy())


def test_a_layer_used_twice_has_one_kernel() -> None:
    graph = check(Call(lambda layer, x: layer(F.relu(layer(x))), layer=nn.Conv1d(4, 4, 3, padding=1)), LINE)
    first, _, second = graph.nodes
    assert first.inputs[1:] == second.inputs[1:]


def test_blocks_without_gradient_are_read_through() -> None:
    def forward(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = layer(x)
        return y * 2

    assert ops(check(Call(forward, layer=nn.Conv1d(4, 4, 3)), LINE)) == ["conv", "map"]
