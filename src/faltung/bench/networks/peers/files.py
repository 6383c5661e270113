"""Runtimes that read ONNX files: ONNX Runtime and OpenVINO. The referee exports the networks of other hosts."""

from typing import Any, ClassVar

from faltung.bench.networks.peers.peer import Call, Peer, Work
from faltung.bench.peers.peer import refuse


class OnnxRuntime(Peer):
    """`session.run` of the model exported for this batch."""

    hosts = ("torch", "keras", "onnx")
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx")

    def __init__(self, threads: int) -> None:
        import onnxruntime

        self.onnxruntime = onnxruntime
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 3

    def prepare(self, work: Work) -> Call:
        """Return a run of a session on NumPy arrays."""
        if work.refusal:
            raise refuse(work.refusal)
        session = self.onnxruntime.InferenceSession(work.onnx_file, self.options, providers=["CPUExecutionProvider"])
        inputs = dict(work.inputs)
        return lambda: session.run(None, inputs)


class OpenVino(Peer):
    """A compiled model, float32, read from the same file, with all shapes fixed."""

    hosts = ("torch", "keras", "onnx")
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
        """Return a call of the compiled model on NumPy arrays."""
        if work.refusal:
            raise refuse(work.refusal)
        core = self.openvino.Core()
        try:
            model = core.read_model(work.onnx_file)
            model.reshape({name: list(array.shape) for name, array in work.inputs.items()})
            compiled = core.compile_model(model, "CPU", self.config)
        except RuntimeError as error:  # of its many lines the last sums them up
            raise refuse(str(error).strip().splitlines()[-1]) from error
        inputs = dict(work.inputs)

        def call() -> list[Any]:
            results = compiled(inputs)
            return [results[output] for output in compiled.outputs]

        return call
