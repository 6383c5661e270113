"""Tensors of frameworks given to the functions on NumPy arrays: one error that says where they belong."""

import pytest

import faltung as ft

torch = pytest.importorskip("torch")
jnp = pytest.importorskip("jax.numpy")
tf = pytest.importorskip("tensorflow")

ONES = {
    "faltung.torch.functional": torch.ones,
    "faltung.jax": jnp.ones,
    "faltung.tensorflow": tf.ones,
}
CALLS = {
    "conv1d": lambda x, k: ft.conv1d(x, k),
    "conv1d_transpose": lambda x, k: ft.conv1d_transpose(x, k),
    "depthwise_conv1d": lambda x, k: ft.depthwise_conv1d(x, k),
    "input_gradient": lambda x, k: ft.input_gradient(x, k, 9),
    "kernel_gradient": lambda x, k: ft.kernel_gradient(x, x, 3),
}


@pytest.mark.parametrize("place", ONES)
@pytest.mark.parametrize("name", CALLS)
def test_the_error_names_the_functions_of_the_framework(name, place):
    ones = ONES[place]
    with pytest.raises(ft.DtypeError, match=rf"^{name}: .*take NumPy's; got a \S+\. Use {place}, ") as raised:
        CALLS[name](ones((2, 9, 3)), ones((3, 3, 3)))
    assert len(str(raised.value)) < 250
