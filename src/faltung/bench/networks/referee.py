"""The worker that knows what is right: it runs networks in float64, counts their work, and exports them."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faltung.bench import machine
from faltung.bench.machine import Machine
from faltung.bench.networks.network import Network
from faltung.bench.networks.peers.peer import Array, arrays_of
from faltung.runtime import pool


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a network at a batch: its multiply-adds, 0 where nobody counts them, and where its files are.

    `onnx_file` is what runtimes read; where there is none, `refusal` says why.
    """

    macs: int
    expected_file: str
    onnx_file: str = ""
    refusal: str = ""


class Referee:
    """Each network in its host: Keras runs on PyTorch here, which has float64, counts, and exports."""

    def __init__(self, threads: int) -> None:
        os.environ["KERAS_BACKEND"] = "torch"
        pool.set_num_threads(threads)

    def machine(self) -> Machine:
        """Measure the machine."""
        return machine.measure()

    def prepare(self, network: Network, batch: int, stem: str) -> Known:
        """Write what the network must return, and the network as an ONNX file, to files that begin with `stem`."""
        inputs = network.inputs(batch)
        expected_file, onnx_file = f"{stem}.npz", f"{stem}.onnx"
        if network.host == "onnx":
            path = str(network.build())
            np.savez(expected_file, *_run_plainly(path, inputs))
            return Known(0, expected_file, path)
        import torch

        torch.set_grad_enabled(False)
        model, exact = _module(network, "float32"), _module(network, "float64")
        x = torch.from_numpy(inputs["x"])
        np.savez(expected_file, *arrays_of(exact(x.double())))
        refusal = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the older exporter needs no further package, and says that it is old
                torch.onnx.export(model, (x,), onnx_file, input_names=["x"], dynamo=False)
        except Exception as error:
            refusal = f"the export to ONNX fails: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return Known(_macs(model, x), expected_file, onnx_file, refusal)


def read_expected(file: str) -> list[Array]:
    """Return the arrays that a network must return."""
    with np.load(Path(file)) as arrays:
        return [arrays[name] for name in arrays.files]


def _module(network: Network, dtype: str) -> Any:
    """The network as a module of PyTorch that computes in `dtype`, with the same numbers in each."""
    import torch

    if network.host == "torch":
        return network.build().to(getattr(torch, dtype))
    import keras

    usual = keras.config.floatx(), keras.config.dtype_policy()  # the policy outlives set_floatx once it was asked for
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        return _inference(network.build()).eval()
    finally:
        keras.config.set_floatx(usual[0])
        keras.config.set_dtype_policy(usual[1])


def _inference(model: Any) -> Any:
    """A Keras model on PyTorch as a plain module, without what dropout does in training."""
    import torch

    class Inference(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            return self.model(x, training=False)

    return Inference()


def _macs(model: Any, x: Any) -> int:
    """The multiply-adds of convolutions and products of matrices."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops() // 2


def _run_plainly(path: str, inputs: dict[str, Array]) -> list[Array]:
    """What an ONNX file returns: ONNX Runtime without optimisations is the nearest to a host that it has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return arrays_of(session.run(None, inputs))
