"""No input channels: every output its bias. No output channels: none, in the right shape."""

import numpy as np
import pytest

import faltung as ft

BIAS = np.arange(1.0, 5.0)


@pytest.mark.parametrize("layout, x_shape, y_shape", [("NWC", (2, 9, 0), (2, 5, 4)), ("NCW", (2, 0, 9), (2, 4, 5))])
def test_no_inputs(layout, x_shape, y_shape):
    words = {"stride": 2, "padding": "same", "layout": layout, "activation": ("leaky_relu", 0.5)}
    channels = (1, 4, 1) if layout == "NCW" else (4,)
    y = ft.conv1d(np.ones(x_shape), np.ones((3, 0, 4)), -BIAS, **words)
    np.testing.assert_array_equal(y, np.broadcast_to(-BIAS.reshape(channels) / 2, y_shape))
    assert not ft.conv1d(np.ones(x_shape), np.ones((3, 0, 4)), **words).any()
    out = np.empty(y_shape)
    assert ft.conv1d(np.ones(x_shape), np.ones((3, 0, 4)), -BIAS, out=out, **words) is out and (out == y).all()


def test_no_inputs_in_groups_and_as_pytorch_orders_them():
    words = {"groups": 2, "layout": "NCHW", "kernel_layout": "OIW"}
    y = ft.conv2d(np.ones((1, 0, 5, 6)), np.ones((4, 0, 3, 3)), BIAS, **words)
    np.testing.assert_array_equal(y, np.broadcast_to(BIAS[:, None, None], (1, 4, 3, 4)))


def test_no_outputs():
    assert ft.conv(np.ones((2, 9, 3)), np.ones((3, 3, 0)), np.ones(0)).shape == (2, 7, 0)
    assert ft.conv2d(np.ones((2, 4, 9, 9)), np.ones((3, 3, 2, 0)), groups=2, layout="NCHW").shape == (2, 0, 7, 7)


def test_transposed():
    y = ft.conv1d_transpose(np.ones((2, 5, 0)), np.ones((4, 4, 0)), BIAS, stride=2, padding="same")
    np.testing.assert_array_equal(y, np.broadcast_to(BIAS, (2, 10, 4)))
    assert ft.conv1d_transpose(np.ones((2, 5, 3)), np.ones((4, 0, 3)), stride=2, padding="same").shape == (2, 10, 0)


def test_channels_that_do_not_fit_are_still_refused():
    with pytest.raises(ft.ShapeError, match="the kernel must have at least one tap, one input and one output"):
        ft.conv1d(np.ones((2, 9, 3)), np.ones((3, 0, 4)))
    with pytest.raises(ft.ShapeError, match="the kernel must have at least one tap"):
        ft.conv1d(np.ones((2, 9, 0)), np.ones((0, 0, 4)))
