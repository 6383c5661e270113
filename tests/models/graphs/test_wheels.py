"""Trained networks that packages of others carry, each beside its host; those not installed are skipped by name."""

import numpy as np
import pytest

import faltung as ft
from faltung.bench.networks import NETWORKS
from faltung.bench.networks.peers.peer import arrays_of
from faltung.bench.networks.station import check
from faltung.bench.networks.wheels import folder_of
from faltung.errors import FaltungError

CARRIED = {name: network for name, network in NETWORKS.items() if network.package}
ISLANDS = {"silero-vad": "LSTM", "basic-pitch": "Where", "rapidocr-read": "MatMul"}
"""What the host computes of them; of the others it computes nothing."""


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CARRIED)
def test_a_trained_network_computes_what_its_host_does(name: str, batch: int) -> None:
    network = CARRIED[name]
    try:
        folder_of(network.package)
    except FaltungError as error:
        pytest.skip(str(error))
    model, inputs = network.build(), network.inputs(batch)
    if network.host == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        wanted = onnxruntime.InferenceSession(str(model)).run(None, inputs)
        net = ft.compile(model, tuple(x.shape for x in inputs.values()))  # one of them is the shape of a scalar, ()
    else:
        torch = pytest.importorskip("torch")
        wanted = arrays_of(model(torch.from_numpy(inputs["x"])))
        net = ft.compile(model, inputs["x"].shape)
    check(arrays_of(net(*inputs.values())), [np.asarray(array) for array in wanted])
    islands = " ".join(node["description"] for node in net.graph.nodes if node.op == "island")
    assert ISLANDS[name] in islands if name in ISLANDS else not islands
