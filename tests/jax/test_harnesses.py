"""JAX's own harnesses of lax.conv_general_dilated, run by ours: results, and jvp and vjp where numbers are real."""

import copy
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.internal_test_util import test_harnesses

import faltung.jax as fj

HARNESSES = {
    each.fullname: each
    for each in test_harnesses.all_harnesses
    if each.fullname.startswith("conv_general_") and each.params["enable_xla"]  # the others are the same, for jax2tf
}
SMALL = {"bfloat16": 0.02, "float16": 0.003, "float32": 1e-5, "complex64": 1e-5}


def test_they_are_there():
    assert len(HARNESSES) >= 60


@pytest.mark.parametrize("part", range(4))  # of a hundred small ones
def test_harnesses(part):
    num_ours = 0
    for name in list(HARNESSES)[part::4]:
        harness = HARNESSES[name]
        ours = copy.copy(harness)
        ours.fun = fj.conv_general_dilated
        arrays = harness.dyn_args_maker(np.random.RandomState(0))
        expected = np.asarray(harness.dyn_fun(*arrays))
        got = ours.dyn_fun(*arrays)
        assert got.dtype == expected.dtype and got.shape == expected.shape, name
        tolerance = SMALL.get(str(expected.dtype), 0) * (1 + np.abs(expected.astype("complex128")).max(initial=0))
        np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=tolerance, err_msg=name)
        if not all(array.dtype == jnp.float32 for array in arrays) or harness.params["preferred_element_type"]:
            continue
        num_ours += "faltung" in jax.jit(ours.dyn_fun).lower(*arrays).as_text()
        derivative = partial(_derivatives, arrays)
        for mine, theirs in zip(derivative(ours.dyn_fun), derivative(harness.dyn_fun), strict=True):
            np.testing.assert_allclose(
                mine, theirs, rtol=0, atol=1e-4 * (1 + np.abs(theirs).max(initial=0)), err_msg=name
            )
    assert num_ours > 2, "some are computed by faltung"


def _derivatives(arrays, function):
    y, pull = jax.vjp(function, *arrays)
    return *pull(jnp.ones_like(y)), jax.jvp(function, arrays, arrays)[1]
