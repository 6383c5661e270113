"""OpenVINO: a model of one convolution, compiled for the processor."""

from typing import ClassVar

from faltung.bench.peers.peer import Call, Peer, Work, refuse, refuse_other_options


class OpenVino(Peer):
    """A compiled model with one convolution, channels first; channels-last data is transposed before and after."""

    layout, kernel_layout = "ncw", "OIW"
    packages: ClassVar[tuple[str, ...]] = ("openvino",)

    def __init__(self, threads: int) -> None:
        import openvino

        self.openvino = openvino
        self.config = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # where the processor has bfloat16, that would be the default
            "PERFORMANCE_HINT": "LATENCY",
        }

    def prepare(self, work: Work) -> Call:
        """Return a call of the compiled model on a NumPy array."""
        if work.is_training:
            raise refuse("inference only")
        if work.spec.dtype != "float32":
            raise refuse(f"computes in float32; got {work.spec.dtype}")
        compiled = self.openvino.Core().compile_model(self.model(work), "CPU", self.config)
        x, output = work.x, compiled.output(0)
        return lambda: compiled(x)[output]

    def model(self, work: Work):  # type: ignore[no-untyped-def]
        """Return the model."""
        from openvino import opset13 as ops

        spec = work.spec
        refuse_other_options(spec)
        x = ops.parameter(spec.input_shape, self.openvino.Type.f32)
        axes = list(range(spec.rank + 2))
        y = ops.transpose(x, [0, axes[-1], *axes[1:-1]]) if spec.is_channels_last else x
        lows, highs = zip(*spec.padding, strict=True)
        if spec.groups == 1:
            y = ops.convolution(y, work.kernel, spec.stride, lows, highs, spec.dilation)
        else:
            outputs = spec.out_channels // spec.groups
            kernel = work.kernel.reshape(spec.groups, outputs, *work.kernel.shape[1:])
            y = ops.group_convolution(y, kernel, spec.stride, lows, highs, spec.dilation)
        if work.bias is not None:
            y = ops.add(y, work.bias.reshape(1, -1, *[1] * spec.rank))
        if spec.activation:
            y = ops.relu(y)
        if spec.is_channels_last:
            y = ops.transpose(y, [0, *axes[2:], 1])
        return self.openvino.Model([y], [x], spec.name)
