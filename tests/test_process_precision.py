"""`ft.precision` reaches every front-end; what is given wins."""

import numpy as np
import pytest

import faltung as ft

RNG = np.random.default_rng(0)
X, KERNEL = RNG.standard_normal((2, 400, 64)).astype("f4"), RNG.standard_normal((3, 64, 64)).astype("f4")
HIGH, EXACT = (ft.conv1d(X, KERNEL, precision=precision) for precision in ("high", "exact"))


def test_numpy_functions_follow_and_what_is_given_wins() -> None:
    assert (HIGH != EXACT).any()
    with ft.precision("exact"):
        np.testing.assert_array_equal(ft.conv1d(X, KERNEL), EXACT)
        np.testing.assert_array_equal(ft.conv1d(X, KERNEL, precision="high"), HIGH)
        with ft.precision("high"):
            np.testing.assert_array_equal(ft.conv1d(X, KERNEL), HIGH)
        np.testing.assert_array_equal(ft.conv1d(X, KERNEL), EXACT)
    np.testing.assert_array_equal(ft.conv1d(X, KERNEL), HIGH)


def test_as_a_function_it_stays() -> None:
    try:
        ft.precision("exact")
        np.testing.assert_array_equal(ft.conv1d(X, KERNEL), EXACT)
    finally:
        ft.precision("high")


def test_another_word_is_refused_and_changes_nothing() -> None:
    with pytest.raises(ft.ShapeError, match="precision: default must be"):
        ft.precision("higher")
    np.testing.assert_array_equal(ft.conv1d(X, KERNEL), HIGH)


def test_torch_modules_and_functions_follow() -> None:
    torch = pytest.importorskip("torch")
    from faltung.torch import functional

    x = torch.from_numpy(X.transpose(0, 2, 1).copy())
    layer = torch.nn.Conv1d(64, 64, 3, bias=False)
    layer.weight.data = torch.from_numpy(KERNEL.transpose(2, 1, 0).copy())
    ft.accelerate(layer)
    with torch.no_grad():
        high = layer(x)
        with ft.precision("exact"):
            exact, by_function = layer(x), functional.conv1d(x, layer.weight)
        again = layer(x)
    assert torch.equal(high, again) and not torch.equal(high, exact) and torch.equal(exact, by_function)


def test_jax_follows_and_the_highest_precision_is_honoured() -> None:
    jax = pytest.importorskip("jax")
    import faltung.jax as fj

    def general(precision: object) -> np.ndarray:
        numbers = ("NWC", "WIO", "NWC")
        y = fj.conv_general_dilated(X, KERNEL, (1,), "VALID", dimension_numbers=numbers, precision=precision)
        return np.asarray(y)

    for asked in (None, "default", "high", jax.lax.Precision.HIGH):
        np.testing.assert_array_equal(general(asked), HIGH)
    for asked in ("highest", "float32", jax.lax.Precision.HIGHEST, ("highest", "highest")):
        np.testing.assert_array_equal(general(asked), EXACT)
    with jax.default_matmul_precision("highest"):
        np.testing.assert_array_equal(general(None), EXACT)
    with ft.precision("exact"):
        np.testing.assert_array_equal(np.asarray(fj.conv1d(X, KERNEL)), EXACT)
    np.testing.assert_array_equal(np.asarray(fj.conv1d(X, KERNEL)), HIGH)
