"""ONNX Runtime: a model of one Conv, as an exporter writes it."""

from typing import ClassVar

import numpy as np

from faltung.bench.peers.peer import Call, Peer, Work, refuse, refuse_other_options

OPSET, IR_VERSION = 17, 8


class OnnxRuntime(Peer):
    """A session with one `Conv`, channels first; channels-last data gets a `Transpose` before and after."""

    layout, kernel_layout = "ncw", "OIW"
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx")

    def __init__(self, threads: int) -> None:
        import onnx
        import onnxruntime

        self.onnx, self.onnxruntime = onnx, onnxruntime
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def prepare(self, work: Work) -> Call:
        """Return a run of the session on a NumPy array."""
        if work.is_training:
            raise refuse("inference only")
        session = self.onnxruntime.InferenceSession(
            self.model(work).SerializeToString(), self.options, providers=["CPUExecutionProvider"]
        )
        x = work.x
        return lambda: session.run(None, {"x": x})[0]

    def model(self, work: Work):  # type: ignore[no-untyped-def]
        """Return the model."""
        helper, to_tensor, spec = self.onnx.helper, self.onnx.numpy_helper.from_array, work.spec
        refuse_other_options(spec)
        constants = [to_tensor(work.kernel, "kernel")]
        if work.bias is not None:
            constants.append(to_tensor(work.bias, "bias"))
        value: str = "x"
        nodes: list[object] = []

        def then(operation: str, *more_inputs: str, **attributes: object) -> None:
            nonlocal value
            result = f"{operation}_{len(nodes)}"
            nodes.append(helper.make_node(operation, [value, *more_inputs], [result], **attributes))
            value = result

        axes = list(range(spec.rank + 2))
        if spec.is_channels_last:
            then("Transpose", perm=[0, axes[-1], *axes[1:-1]])
        then(
            "Conv",
            *(constant.name for constant in constants),
            kernel_shape=spec.kernel_size,
            strides=spec.stride,
            dilations=spec.dilation,
            group=spec.groups,
            pads=[low for low, _ in spec.padding] + [high for _, high in spec.padding],
        )
        if spec.activation:
            then("Relu")
        if spec.is_channels_last:
            then("Transpose", perm=[0, *axes[2:], 1])
        dtype = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        x = helper.make_tensor_value_info("x", dtype, spec.input_shape)
        y = helper.make_tensor_value_info(value, dtype, spec.output_shape)
        graph = helper.make_graph(nodes, spec.name, [x], [y], constants)
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
