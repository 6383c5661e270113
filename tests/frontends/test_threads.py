"""The host's number of threads becomes ours, unless we were told one; each in a process of its own."""

import os
import subprocess
import sys

import pytest

USUAL = len(os.sched_getaffinity(0))
TENSORFLOW = """
import tensorflow as tf, faltung as ft, faltung.tensorflow as ftf
tf.config.threading.set_intra_op_parallelism_threads(1)
TOLD
ftf.nn.conv1d(tf.ones((1, 9, 2)), tf.ones((3, 2, 4)), 1, "SAME")
print(ft.get_num_threads())
"""
JAX = """
import jax.numpy as jnp, faltung as ft, faltung.jax as fj
TOLD
fj.conv1d(jnp.ones((1, 9, 2)), jnp.ones((3, 2, 4)))
print(ft.get_num_threads())
"""


def threads(program, told="", **environment):
    kept = {name: value for name, value in os.environ.items() if name != "FALTUNG_NUM_THREADS"}
    command = [sys.executable, "-W", "ignore", "-c", program.replace("TOLD", told)]
    return int(subprocess.check_output(command, text=True, env=kept | environment).split()[-1])


@pytest.mark.skipif(USUAL < 2, reason="with one processor there is nothing to tell apart")
def test_the_host_is_followed():
    assert threads(TENSORFLOW) == 1
    assert threads(JAX, XLA_FLAGS="--xla_cpu_multi_thread_eigen=false") == 1
    assert threads(JAX) == USUAL
    assert threads(JAX, "ft.set_num_threads(3)", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false") == 3
    assert threads(TENSORFLOW, FALTUNG_NUM_THREADS="2") == 2
