"""The functions: what PyTorch refuses, memory formats read in place, and the errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import conv_specs, random_arrays

import faltung.torch.functional as F
from faltung import ShapeError, reference
from faltung.arrays import forward
from faltung.runtime import buffers
from faltung.torch import fast_path

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def options_of(spec):
    names = ("stride", "padding", "dilation", "groups", "padding_mode", "layout", "precision")
    return {name: getattr(spec, name) for name in names}


@settings(max_examples=80, deadline=None)
@given(conv_specs(activations=[None], max_macs=20_000))
def test_every_spec_gives_the_numbers_of_the_reference_and_its_gradients(spec):
    spec = spec.replace(batch=spec.num_samples, kernel_layout="OIW")
    if spec.num_samples == 0 or 0 in spec.in_size:
        return
    arrays = random_arrays(spec)
    x, kernel, bias = (None if array is None else leaf(array) for array in arrays)
    y = CONV[spec.rank](x, kernel, bias, **options_of(spec))
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(spec.dtype)
    leaves = [tensor for tensor in (x, kernel, bias) if tensor is not None]
    gradients = torch.autograd.grad(y, leaves, torch.from_numpy(dy))

    expected = [
        (reference.conv(*arrays, spec=spec), reference.bound(*arrays, spec=spec)),
        (
            reference.input_gradient(dy, arrays[1], spec=spec),
            reference.input_gradient_bound(dy, arrays[1], spec=spec),
        ),
        (
            reference.kernel_gradient(arrays[0], dy, spec=spec),
            reference.kernel_gradient_bound(arrays[0], dy, spec=spec),
        ),
        (reference.bias_gradient(dy, spec=spec), reference.bias_gradient_bound(dy, spec=spec)),
    ]
    for ours, (numbers, bound) in zip((y.detach(), *gradients), expected, strict=False):
        assert np.all(abs(ours.numpy() - numbers) <= bound), spec.to_text()


@pytest.mark.parametrize("length", [7, 8, 9])
@pytest.mark.parametrize("taps, stride, dilation", [(3, 2, 1), (4, 2, 1), (4, 3, 2), (1, 4, 1)])
def test_same_with_a_stride_and_causal(length, taps, stride, dilation):
    x, kernel = torch.randn(2, 3, length), torch.randn(4, 3, taps)
    options = {"stride": stride, "dilation": dilation}
    window = dilation * (taps - 1) + 1
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + window - length, 0)
    for padding, pair in [("same", (total // 2, total - total // 2)), ("causal", (window - 1, 0))]:
        y = F.conv1d(x, kernel, padding=padding, **options)
        peer = torch.nn.functional.conv1d(torch.nn.functional.pad(x, pair), kernel, **options)
        assert y.shape[-1] == outputs
        torch.testing.assert_close(y, peer)
        torch.testing.assert_close(F.conv1d(x, kernel, padding=[pair], **options), peer)
        torch.testing.assert_close(F.conv1d(x, kernel, padding=pair, **options), peer)
        half = F.conv1d(x.bfloat16(), kernel.bfloat16(), padding=padding, **options)  # PyTorch's kernel, our padding
        torch.testing.assert_close(half.float(), peer, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_of_what_pytorch_computes(mode):
    x, kernel = torch.randn(2, 3, 9, dtype=torch.bfloat16), torch.randn(4, 3, 3, dtype=torch.bfloat16)
    ours = F.conv1d(x, kernel, padding=(2, 1), padding_mode=mode)
    assert torch.equal(ours, torch.nn.functional.conv1d(torch.nn.functional.pad(x, (2, 1), mode), kernel))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layout_is_the_transposition_of_both_ends(rank):
    layout = "NDHWC"[0] + "DHW"[-rank:] + "C"
    for channels in (1, 3):
        x, kernel = torch.randn(2, channels, *range(5, 5 + rank)), torch.randn(4, channels, *[3] * rank)
        last = CONV[rank](x.movedim(1, -1), kernel, layout=layout)
        assert last.is_contiguous()
        torch.testing.assert_close(last.movedim(-1, 1), CONV[rank](x, kernel))
        torch.testing.assert_close(CONV[rank](x[0].movedim(0, -1), kernel, layout=layout), last[0])
    transposed = getattr(F, f"conv_transpose{rank}d")
    kernel = torch.randn(3, 4, *[2] * rank)
    last = transposed(x.movedim(1, -1), kernel, stride=2, layout=layout)
    assert last.is_contiguous()
    torch.testing.assert_close(last.movedim(-1, 1), transposed(x, kernel, stride=2))


def integers(*sizes):
    """Small whole numbers, whose sums are exact in any order."""
    return torch.randint(-4, 5, sizes).float()


def memory_formats(rank):
    """A tensor in each format that a kernel reads where it lies, and whether its result is channels last."""
    sizes = (6, 7, 8)[:rank]
    yield "contiguous", integers(2, 5, *sizes), False
    yield "channels last", integers(2, *sizes, 5).movedim(-1, 1), True
    yield "part of a batch, of longer lines", integers(4, 5, *sizes[:-1], 20)[1:3, ..., 3:11], False
    yield "every other sample, channels last", integers(5, *sizes, 5)[::2].movedim(-1, 1), True


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_tensors_are_read_where_they_lie(rank, monkeypatch):
    torch.manual_seed(rank)
    kernel, seen = integers(4, 5, *[3] * rank), []
    launch = forward.Convolution.run

    def spy(self, x, *others):
        seen.append((x.__array_interface__["data"][0], x.strides))
        return launch(self, x, *others)

    monkeypatch.setattr(forward.Convolution, "run", spy)
    for name, x, is_last in memory_formats(rank):
        y = CONV[rank](x, kernel.requires_grad_())
        address, strides = seen.pop()
        assert address == x.data_ptr(), name
        order = [0, *range(2, rank + 2), 1] if is_last else range(rank + 2)
        assert strides == tuple(x.stride(axis) * 4 for axis in order), name
        assert (y.stride(1) == 1) is is_last, name
        with torch.no_grad():
            fast = CONV[rank](x, kernel)
        assert not seen and fast.stride() == y.stride() and torch.equal(fast, y), name
        torch.testing.assert_close(y, getattr(torch.nn.functional, f"conv{rank}d")(x.contiguous(), kernel), msg=name)


def test_any_strides_give_the_same_numbers():
    kernel = torch.randn(4, 3, 5)
    for x in (
        torch.randn(9, 3, 2).permute(2, 1, 0),
        torch.randn(2, 3, 40)[..., ::3],
        torch.randn(2, 1, 20).expand(2, 3, 20),
        torch.randn(1, 3, 20).expand(4, 3, 20),
        torch.complex(torch.randn(2, 3, 9), torch.randn(2, 3, 9)).conj().imag,
    ):
        ours = F.conv1d(x, kernel), F.conv1d(x, kernel.mT.contiguous().mT)
        for y in ours:
            torch.testing.assert_close(y, torch.nn.functional.conv1d(x.clone(), kernel))


def test_kernels_in_channels_last_make_results_channels_last():
    x, kernel = torch.randn(2, 1, 8, 8), torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last)
    assert F.conv2d(torch.randn(2, 3, 8, 8), kernel).is_contiguous(memory_format=torch.channels_last)
    first = F.conv2d(x.to(memory_format=torch.channels_last), torch.randn(3, 1, 3, 3))
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_options_as_lists_are_prepared_once(monkeypatch):
    x, kernel, prepared = torch.randn(2, 3, 9), torch.randn(4, 3, 3), []
    prepare = fast_path._prepare
    monkeypatch.setattr(fast_path, "_prepare", lambda *call: (prepared.append(call), prepare(*call))[1])
    for _ in range(2):
        y = F.conv1d(x, kernel, stride=[2], padding=[[2, 1]], dilation=[1])
    assert len(prepared) == 1
    assert torch.equal(y, F.conv1d(x, kernel, stride=2, padding=((2, 1),)))


def test_a_call_is_refused_after_one_like_it_too():
    x, kernel = torch.randn(2, 3, 9), torch.randn(4, 3, 3)
    F.conv1d(x, kernel, groups=1)
    with pytest.raises(ShapeError, match=r"invalid combination of arguments"):
        F.conv1d(x, kernel, groups=1.0)


def test_a_result_keeps_its_memory():
    kernel = torch.randn(32, 16, 3)
    with torch.no_grad():
        x = torch.randn(4, 16, 1000)
        y = F.conv1d(x, kernel)
        expected = y.clone()
        part = y[1:, ::2]
        del y
        others = [F.conv1d(torch.zeros_like(x), kernel) for _ in range(3)]
        assert torch.equal(part, expected[1:, ::2]) and not any(other.any() for other in others)
    assert buffers.free_bytes() >= 0


def test_in_place_operations_on_the_result():
    x, kernel = torch.randn(2, 3, 9), torch.randn(4, 3, 3, requires_grad=True)
    y = F.conv1d(x, kernel).mul_(2).relu_()
    y.sum().backward()
    ours, kernel.grad = kernel.grad, None
    (2 * torch.nn.functional.conv1d(x, kernel).relu()).sum().backward()
    torch.testing.assert_close(ours, kernel.grad)


def test_a_kernel_changed_in_place_counts():
    x, kernel = torch.randn(1, 3, 9), torch.randn(4, 3, 3)
    before = F.conv1d(x, kernel)
    kernel.mul_(2)
    torch.testing.assert_close(F.conv1d(x, kernel), 2 * before)


def test_output_padding_beyond_the_stride():
    x, kernel = torch.randn(2, 3, 5), torch.randn(3, 4, 3)
    for padding, more in [(0, 1), (1, 1), (2, 1), (1, 3), (0, 3)]:
        options = {"stride": 1, "padding": padding, "output_padding": more, "dilation": 4}
        torch.testing.assert_close(
            F.conv_transpose1d(x, kernel, **options), torch.nn.functional.conv_transpose1d(x, kernel, **options)
        )


@pytest.mark.parametrize("is_differentiated", [False, True])
@pytest.mark.parametrize("arguments, options, message", [
    (((2, 3, 9), (4, 2, 3)), {}, r"expected input\[2, 3, 9\] to have 2 channels, but got 3"),
    (((2, 3, 9), (4, 3, 12)), {}, r"Kernel size can't be greater than actual input size"),
    (((9,), (4, 3, 3)), {}, r"[Ee]xpected .*\[9\]"),
    (((2, 3, 9), (4, 3)), {}, r"weight|[Ee]xpected"),
    (((2, 3, 9), (4, 3, 3)), {"stride": 0}, r"non-positive stride"),
    (((2, 3, 9), (4, 3, 3)), {"padding": "some"}, r"conv1d: padding must be valid, same, causal .*got 'some'"),
    (((2, 3, 9), (4, 3, 3)), {"padding": 9, "padding_mode": "reflect"}, r"[Pp]adding size should be less"),
    (((2, 3, 9), (4, 3, 3)), {"layout": "NHWC"}, r"layout of conv1d must be NWC or NCW; got 'NHWC'"),
])  # fmt: skip
def test_errors_are_pytorchs_where_it_has_one(arguments, options, message, is_differentiated):
    x, kernel = (torch.randn(shape, requires_grad=is_differentiated) for shape in arguments)
    with pytest.raises(ShapeError, match=message):
        F.conv1d(x, kernel, **options)
