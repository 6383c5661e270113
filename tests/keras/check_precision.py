"""precision="exact": direct summation only, in every layer, forward and in the gradients; what is saved of it."""

import keras
import pytest
from keras import layers as stock
from keras_layers import gradients, values
from spiked import spiked

import faltung as ft
import faltung.keras as ours
from faltung.keras.base import OURS

ARGUMENTS = {"DepthwiseConv1D": (3,), "DepthwiseConv2D": (3,)}
NAMES = [kind.__name__ for kind in OURS]


@pytest.mark.parametrize("data_format, layout", [("channels_last", "NWC"), ("channels_first", "NCW")])
@pytest.mark.parametrize("name", ["Conv1D", "Conv1DTranspose"])
def test_outputs_and_gradients(name, data_format, layout):
    case = spiked(layout=layout)
    layer = getattr(ours, name)(64, 3, use_bias=False, data_format=data_format, precision="exact")
    is_transposed = name.endswith("Transpose")
    first, last = (case.dy, case.x) if is_transposed else (case.x, case.dy)
    layer.build(first.shape)
    layer.set_weights([case.kernel])
    y, (by_x, by_kernel) = values(layer(first)), gradients(layer, first, last)
    case.check(*((by_x, y) if is_transposed else (y, by_x)), by_kernel)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_keeps_it(name):
    layer = getattr(ours, name)(*ARGUMENTS.get(name, (4, 3)), precision="EXACT")
    assert layer.precision == "exact" and layer.get_config()["precision"] == "exact"
    again = type(layer).from_config(layer.get_config())
    assert again.precision == "exact" and again._request(4).options.precision == "exact"


def test_what_it_is_made_of_keeps_it(monkeypatch):
    asked = []
    compute = ours.layers.backend.convolve
    monkeypatch.setattr(ours.layers.backend, "convolve", lambda *call: (asked.append(call[3]), compute(*call))[1])
    ours.SeparableConv1D(4, 3, precision="exact")(spiked().x)
    assert [request.options.precision for request in asked] == ["exact", "exact"]


@pytest.mark.parametrize("name", NAMES)
def test_the_default_is_high_and_is_not_saved(name):
    arguments = ARGUMENTS.get(name, (4, 3))
    layer = getattr(ours, name)(*arguments)
    accelerated = ft.accelerate(getattr(stock, name)(*arguments))
    for each in (layer, accelerated):
        assert each.precision is None and "precision" not in each.get_config()
        assert each._request(4).options.precision == "high"


def test_a_saved_model_keeps_it(tmp_path):
    case = spiked()
    model = keras.Sequential([keras.Input(case.x.shape[1:]), ours.Conv1D(64, 3, use_bias=False, precision="exact")])
    model.layers[0].set_weights([case.kernel])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    (layer,) = again.layers
    case.check(values(again(case.x)), *gradients(layer, case.x, case.dy))
