"""Calls on threads that a host lends."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checking import exit_code, fork, python

import faltung as ft
from faltung.runtime import team

X = np.random.default_rng(0).standard_normal((8, 64, 500), dtype="f4")
KERNEL = np.random.default_rng(1).standard_normal((64, 64, 5), dtype="f4")


def convolve():
    return ft.conv1d(X, KERNEL, layout="NCW", kernel_layout="OIW", padding="same")


@pytest.fixture
def lent():
    """PyTorch's team, as the first call of faltung.torch lends it; afterwards as before."""
    from faltung.torch import threads

    before = team._parallel
    threads.share()
    yield
    team.lend(before)


def test_bits_are_those_of_our_own_threads(lent):
    on_team = convolve()
    assert team.take() is not None
    team.lend(None)
    assert team.take() is None
    assert np.array_equal(convolve(), on_team)


def test_every_number_of_threads_gives_the_same_bits(lent):
    expected, before = convolve(), ft.get_num_threads()
    try:
        for num_threads in (1, 2, 3, 5):
            ft.set_num_threads(num_threads)
            assert team.take().num_threads == num_threads
            assert np.array_equal(convolve(), expected)
    finally:
        ft.set_num_threads(before)


def test_concurrent_callers_have_teams_of_their_own(lent):
    expected, teams, barrier = convolve(), [], threading.Barrier(3)

    def work():
        barrier.wait()
        teams.append(team.take())
        return all(np.array_equal(convolve(), expected) for _ in range(50))

    with ThreadPoolExecutor(3) as executor:
        assert all(future.result() for future in [executor.submit(work) for _ in range(3)])
    assert len({*map(id, teams), id(team.take())}) == 4


def test_a_forked_child_has_threads_of_its_own(lent):
    expected = convolve()
    child = fork(lambda: team.take() is None and np.array_equal(convolve(), expected))
    assert exit_code(child) == 0
    assert np.array_equal(convolve(), expected)


def test_the_first_call_of_the_front_end_lends_the_team_and_its_import_does_not():
    program = """
import torch
import faltung.torch.functional as F
from faltung.runtime import team
assert team.take() is None
F.conv1d(torch.ones(1, 3, 20), torch.ones(4, 3, 3))
print(team.take().num_threads)
"""
    done = python(program, FALTUNG_NUM_THREADS="3")
    assert done.stdout == "3\n", done.stderr
