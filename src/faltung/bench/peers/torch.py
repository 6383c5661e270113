"""PyTorch: nn.Conv1d, nn.Conv2d, nn.Conv3d."""

from typing import Any, ClassVar

from faltung.bench.peers.peer import Array, Call, Peer, Work, refuse, refuse_other_options, symmetric_padding
from faltung.spec import ConvSpec


class Torch(Peer):
    """`nn.Conv1d` as users write it, channels first."""

    layout, kernel_layout = "ncw", "OIW"
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    transposes = True

    def __init__(self, threads: int) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(threads)

    def prepare(self, work: Work) -> Call:
        """Return a call of the module, or of it and torch.autograd.grad, which is what loss.backward() does."""
        torch, spec = self.torch, work.spec
        torch.set_grad_enabled(work.is_training)
        layer = self.transposed(spec, work.kernel) if work.is_transposed else self.layer(spec, work.kernel, work.bias)
        x = self.tensor(work.x, spec).requires_grad_(work.is_training)
        module = self.compiled(self.with_layout(layer, spec))
        if work.dy is None:
            return lambda: module(x)
        dy = self.tensor(work.dy, spec)
        weight = layer.get_parameter("conv.weight")

        def train() -> tuple[Any, ...]:
            y = module(x)
            return (y, *torch.autograd.grad(y, (x, weight), dy))

        return train

    def arrays(self, results: tuple[Any, ...], spec: ConvSpec) -> list[Array]:
        """Return the numbers of the tensors."""
        return [result.detach().numpy() for result in results]

    def layer(self, spec: ConvSpec, kernel: Array, bias: Array | None) -> Any:
        """Return nn.Sequential with the convolution, after padding that it does not know, before the activation."""
        refuse_other_options(spec, ("zeros", "reflect", "replicate", "circular"))
        layer = self.torch.nn.Sequential()
        padding = symmetric_padding(spec)
        if padding is None:
            if spec.padding_mode != "zeros":
                raise refuse(f"nn.Conv{spec.rank}d pads both ends alike")
            pairs = self.on_axes(spec.padding, (0, 0))
            pad = getattr(self.torch.nn, f"ConstantPad{len(pairs)}d")
            layer.add_module("pad", pad(tuple(size for pair in reversed(pairs) for size in pair), 0.0))
            padding = (0,) * spec.rank
        conv = getattr(self.torch.nn, f"Conv{len(self.on_axes(spec.kernel_size, 1))}d")(
            spec.in_channels,
            spec.out_channels,
            self.on_axes(spec.kernel_size, 1),
            stride=self.on_axes(spec.stride, 1),
            padding=self.on_axes(padding, 0),
            dilation=self.on_axes(spec.dilation, 1),
            groups=spec.groups,
            bias=spec.bias,
            padding_mode=spec.padding_mode,
            dtype=getattr(self.torch, spec.dtype),
        )
        with self.torch.no_grad():
            conv.weight.copy_(self.torch.from_numpy(kernel).reshape(conv.weight.shape))
            if bias is not None:
                conv.bias.copy_(self.torch.from_numpy(bias))
        layer.add_module("conv", conv)
        if spec.activation:
            layer.add_module("relu", self.torch.nn.ReLU())
        return layer.train(self.torch.is_grad_enabled())

    def transposed(self, spec: ConvSpec, kernel: Array) -> Any:
        """Return the nn.ConvTranspose1d that is the adjoint of the spec; its weight is that of the convolution."""
        padding = symmetric_padding(spec)
        if padding is None:
            raise refuse(f"nn.ConvTranspose{spec.rank}d cuts off both ends alike")
        conv = getattr(self.torch.nn, f"ConvTranspose{spec.rank}d")(
            *(spec.out_channels, spec.in_channels, spec.kernel_size, spec.stride, padding),
            **{"groups": spec.groups, "bias": False, "dilation": spec.dilation},
            dtype=getattr(self.torch, spec.dtype),
        )
        with self.torch.no_grad():
            conv.weight.copy_(self.torch.from_numpy(kernel))
        return conv.eval()

    def on_axes(self, values: tuple[Any, ...], other: Any) -> tuple[Any, ...]:
        """Return one value for each axis of the module; `other` is for an axis that the spec does not have."""
        return values

    def tensor(self, array: Array, spec: ConvSpec) -> Any:
        """Return a tensor that shares the memory of the array."""
        return self.torch.from_numpy(array)

    def with_layout(self, layer: Any, spec: ConvSpec) -> Any:
        """Return a function that takes and returns tensors in the layout of the spec."""
        if not spec.is_channels_last:
            return layer
        return lambda x: layer(x.movedim(-1, 1)).movedim(1, -1).contiguous()

    def compiled(self, module: Any) -> Any:
        """Return the module as it is."""
        return module


class TorchChannelsLast(Torch):
    """`nn.Conv2d` in `channels_last` memory, sequences as images of height 1; volumes in `channels_last_3d`."""

    layout = "nwc"
    transposes = False

    def layer(self, spec: ConvSpec, kernel: Array, bias: Array | None) -> Any:
        """Return the module with its weights in channels_last memory, as PyTorch's documentation advises."""
        return super().layer(spec, kernel, bias).to(memory_format=self.memory_format(spec))

    def on_axes(self, values: tuple[Any, ...], other: Any) -> tuple[Any, ...]:
        """Return a value for the height of a sequence, too."""
        return (other, *values) if len(values) == 1 else values

    def memory_format(self, spec: ConvSpec) -> Any:
        """Return the format of the spec's rank."""
        return self.torch.channels_last_3d if spec.rank == 3 else self.torch.channels_last

    def tensor(self, array: Array, spec: ConvSpec) -> Any:
        """Return a tensor (N, C, [D,] H, W) over the array's memory: channels last is a matter of strides."""
        tensor = self.torch.from_numpy(array)
        tensor = tensor.movedim(-1, 1) if spec.is_channels_last else tensor
        return tensor.unsqueeze(2) if spec.rank == 1 else tensor

    def with_layout(self, layer: Any, spec: ConvSpec) -> Any:
        """Change the memory format before and after, where data is held channels first."""
        if spec.is_channels_last:
            return layer
        return lambda x: layer(x.contiguous(memory_format=self.memory_format(spec))).contiguous()

    def arrays(self, results: tuple[Any, ...], spec: ConvSpec) -> list[Array]:
        """Return y and dx in the layout of the spec, the height of a sequence left as it is, and dkernel."""
        y_and_dx = [result.movedim(1, -1) if spec.is_channels_last else result for result in results[:2]]
        return super().arrays((*y_and_dx, *results[2:]), spec)


class TorchCompile(Torch):
    """`torch.compile(nn.Conv1d)`, channels first."""

    def compiled(self, module: Any) -> Any:
        """Compile the module; recompiling for other cases counts from zero."""
        self.torch.compiler.reset()
        return self.torch.compile(module, dynamic=False)
