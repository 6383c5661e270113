"""Models: trained, predicted, saved and loaded; accelerated and restored, with all that Keras keeps of them."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers as stock
from keras_layers import compare, numbers, values

import faltung as ft
import faltung.keras as ours
from faltung.keras.replace import REMEDY

BACKEND = keras.backend.backend()
X, Y = numbers((32, 40, 3)), np.arange(32) % 4


def sequential(module=stock):
    return keras.Sequential(
        [
            keras.Input((40, 3)),
            module.Conv1D(8, 5, strides=2, padding="same", activation="relu"),
            stock.BatchNormalization(),
            module.SeparableConv1D(8, 3, padding="same", activation="relu"),
            stock.GlobalAveragePooling1D(),
            stock.Dense(4, activation="softmax"),
        ]
    )


def functional():
    x = keras.Input((40, 3))
    h = stock.Conv1D(6, 5, padding="causal", name="shared")
    y = stock.Add()([h(x), h(stock.Conv1D(3, 3, padding="same")(x))])
    y = stock.TimeDistributed(stock.Conv1D(4, 3), name="each")(stock.Reshape((4, 10, 6))(y))
    inner = keras.Sequential([keras.Input((4, 8, 4)), stock.Conv2D(4, 3, padding="same")], name="inner")
    return keras.Model(x, stock.Dense(4, activation="softmax")(stock.Flatten()(inner(y))))


@keras.saving.register_keras_serializable(package="checks")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.first = stock.Conv1D(8, 5)
        self.blocks = [stock.DepthwiseConv1D(3), stock.Conv1DTranspose(4, 4, strides=2)]
        self.last = stock.Dense(4, activation="softmax")

    def call(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(keras.ops.mean(x, 1))


def subclassed():
    model = Subclassed()
    model(X[:1])
    return model


MODELS = {"functional": (functional, 4), "subclassed": (subclassed, 3)}


def compiled(model, **options):
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", **options)
    return model


def losses(model, epochs=2):
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize("make, count", MODELS.values(), ids=MODELS)
def test_accelerated_models_train_as_before(make, count):
    plain = compiled(make())
    before = plain.predict(X, verbose=0)
    weights, names = plain.get_weights(), [layer.path for layer in plain._flatten_layers()]
    wanted = losses(plain)
    after = plain.predict(X, verbose=0)
    plain.set_weights(weights)
    compiled(plain)

    assert ft.accelerate(plain) is plain
    report = ours.report(plain)
    assert len(report.computed) == count and not report.left
    assert [layer.path for layer in plain._flatten_layers()] == names
    compare(plain.predict(X, verbose=0), before)
    compare(np.array(losses(plain)), wanted, 1e-4)
    compare(plain.predict(X, verbose=0), after, 1e-4)


def test_the_summary_shows_what_was_replaced():
    lines: list[str] = []
    ft.accelerate(sequential()).summary(print_fn=lines.append)
    shown = "\n".join(lines)
    assert "(Conv1D*)" in shown and "(SeparableConv1D*)" in shown and "(Dense)" in shown


def test_a_copy_leaves_the_model_alone():
    plain = compiled(functional())
    fast = ft.accelerate(plain, copy=True)
    assert not ours.report(plain).computed and len(ours.report(fast).computed) == 4
    compare(values(fast(X)), values(plain(X)))
    assert fast.optimizer is not None


def test_what_keras_has_compiled_is_forgotten():
    model = compiled(sequential())
    before = model.predict(X, verbose=0)
    called = []
    ft.accelerate(model)
    first = model.layers[0]
    first.activation = lambda y: called.append(1) or keras.ops.relu(y)
    compare(model.predict(X, verbose=0), before)
    assert called


def test_twice_is_once_and_back():
    model = ft.accelerate(ft.accelerate(functional()))
    assert len(ours.report(model).computed) == 4
    kinds = {type(layer) for layer in ours.restore(model)._flatten_layers()}
    assert stock.Conv1D in kinds and not kinds & {ours.Conv1D, ours.Conv2D}
    assert "which ft.accelerate replaces" in str(ours.report(model))


def test_what_is_left_alone(capsys):
    class Mine(stock.Conv1D):
        pass

    half = stock.Conv1D(4, 3, dtype="mixed_bfloat16", name="half")
    model = keras.Sequential([keras.Input((40, 3)), Mine(4, 3), half], name="model")
    with pytest.warns(UserWarning, match=r"computes 0 of 2 convolutions\. model/mine: Mine is a class of its own"):
        ft.accelerate(model, verbose=True)
    assert type(model.layers[0]) is Mine
    printed = capsys.readouterr().out
    assert printed.startswith(
        "faltung computes 0 of 2 convolutions.\n  model/mine: left alone, Mine is a class of its own;"
    )
    assert "  model/half: left alone, it computes in bfloat16, and faltung in float32 and float64" in printed


def test_a_mixed_policy_is_warned_of_once_with_the_way_out(recwarn):
    half = [stock.Conv1D(4, 3, dtype="mixed_float16", name=name) for name in ("first", "second")]
    ft.accelerate(keras.Sequential([keras.Input((40, 3)), *half], name="model"))
    (warning,) = [str(each.message) for each in recwarn if each.category is UserWarning]
    assert "0 of 2 convolutions. model/first: it computes in float16" in warning
    assert warning.endswith(REMEDY)
    ft.accelerate(keras.Sequential([keras.Input((40, 3)), stock.Conv1D(4, 3, dtype="float32"), stock.ReLU()]))
    assert len([each for each in recwarn if each.category is UserWarning]) == 1


def test_errors_name_the_layer_and_can_be_explained():
    layers = [ours.Conv1D(4, 3, name="first"), ours.Conv1D(4, 9, padding=(1, 0), name="second")]
    model = keras.Sequential([keras.Input((None, 3)), *layers], name="net")
    with pytest.raises(ft.ShapeError, match=r"net/second \(Conv1D\): .*[Kk]ernel") as caught:
        model(np.ones((1, 8, 3), "f4"))
    assert "layout" not in str(caught.value) and "moveaxis" not in str(caught.value)
    with pytest.raises(ft.ShapeError) as caught, ft.explain_errors():
        model(np.ones((1, 8, 3), "f4"))
    assert caught.value.diagnosis is not None and not caught.value.diagnosis.ok


@pytest.mark.parametrize("options, reason", [
    ({"padding": "same", "padding_mode": "reflect"}, "padding_mode='reflect'"),
    ({"precision": "exact"}, "precision='exact'"),
    ({"padding": (1, 2)}, r"padding=\(\(1, 2\),\)"),
    ({"strides": 2, "dilation_rate": 2}, r"strides=\(2,\) with dilation_rate=\(2,\)"),
])  # fmt: skip
def test_what_keras_cannot_take_back(options, reason):
    model = keras.Sequential([keras.Input((40, 3)), ours.Conv1D(4, 3, name="mine", **options)], name="model")
    with pytest.raises(
        ft.ModelError, match=f"restore: keras.layers.Conv1D must know all options of model/mine; got {reason}"
    ):
        ours.restore(model)


PLAIN = """
import sys, warnings
sys.modules["faltung"] = None
warnings.simplefilter("ignore")
import keras, numpy as np
np.save(sys.argv[3], keras.saving.load_model(sys.argv[1]).predict(np.load(sys.argv[2]), verbose=0))
"""


def test_saved_by_keras_accelerated_saved_and_loaded_without_faltung(tmp_path):
    paths = [tmp_path / name for name in ("theirs.keras", "ours.keras", "restored.keras", "x.npy", "y.npy")]
    theirs, accelerated, restored, x, y = map(str, paths)
    compiled(functional()).save(theirs)
    model = ft.accelerate(keras.saving.load_model(theirs))
    losses(model, 1)
    wanted = model.predict(X, verbose=0)
    model.save(accelerated)
    again = keras.saving.load_model(accelerated)
    assert ours.report(again).computed == ours.report(model).computed
    compare(again.predict(X, verbose=0), wanted)
    ours.restore(again).save(restored)
    np.save(x, X)
    subprocess.run([sys.executable, "-c", PLAIN, restored, x, y], check=True, env=os.environ)
    compare(np.load(y), wanted)


def test_weights_go_from_keras_layers_to_ours_and_back(tmp_path):
    plain, fast = sequential(), sequential(ours)
    plain.save_weights(tmp_path / "a.weights.h5")
    fast.load_weights(tmp_path / "a.weights.h5")
    compare(values(fast(X)), values(plain(X)))
    fast.save_weights(tmp_path / "b.weights.h5")
    sequential().load_weights(tmp_path / "b.weights.h5")


def test_options_of_our_own_are_saved(tmp_path):
    options = {"strides": 2, "dilation_rate": 2, "padding": ((3, 1),), "padding_mode": "circular"}
    options["precision"] = "exact"
    model = keras.Sequential([keras.Input((5, 40, 3)), ours.Conv1D(4, 3, **options)])
    x = numbers((2, 5, 40, 3))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    compare(values(again(x)), values(model(x)))
    assert {name: getattr(again.layers[0], name) for name in options} == options | {
        "strides": (2,),
        "dilation_rate": (2,),
    }


# On PyTorch a compiled step takes minutes to compile; tests/torch traces the operators.
@pytest.mark.parametrize("jit_compile", {"jax": [True], "tensorflow": [False, True], "torch": [False]}[BACKEND])
def test_compiled_models(jit_compile):
    plain, fast = sequential(), sequential(ours)
    fast.set_weights(plain.get_weights())
    compiled(plain, jit_compile=jit_compile and BACKEND == "jax")
    if jit_compile and BACKEND == "tensorflow":
        with pytest.warns(UserWarning, match="Model doesn't support `jit_compile=True`"):
            compiled(fast, jit_compile=True)
    else:
        compiled(fast, jit_compile=jit_compile)
    compare(np.array(losses(fast)), losses(plain), 1e-4)
    compare(fast.predict(X, verbose=0), plain.predict(X, verbose=0), 1e-4)


def test_sizes_that_only_the_run_knows():
    x = keras.Input((None, 3))
    y = ours.Conv1DTranspose(4, 4, strides=2, padding="same")(ours.Conv1D(4, 5, strides=2, padding="same")(x))
    model = keras.Model(x, y)
    for length in (17, 20):
        data = numbers((5, length, 3))
        compare(model.predict(data, batch_size=3, verbose=0), values(model(data)))
