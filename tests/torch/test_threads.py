"""Threads follow PyTorch's setting, unless faltung is told otherwise."""

import os
import subprocess
import sys

import pytest

WORKER = """
import numpy as np, torch, faltung as ft
from faltung.runtime import pool
x, kernel = np.ones((4, 3000, 32), "f4"), np.ones((5, 32, 32), "f4")

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        y = ft.conv1d(x, kernel)
        used = pool._pool.num_threads if pool._pool else 1
        return torch.tensor([ft.get_num_threads(), used, int(np.allclose(y, 160))])

if __name__ == "__main__":
    torch.set_num_threads(3)
    ft.conv1d(x, kernel)
    TOLD
    print([row.tolist() for row in torch.utils.data.DataLoader(Data(), batch_size=None, num_workers=1)])
"""


def printed(program, **environment):
    environment = {**os.environ, "FALTUNG_NUM_THREADS": "", **environment}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("program", ["import torch, faltung as ft", "import faltung as ft, torch, faltung.torch"])
def test_set_num_threads(program):
    program += "; torch.set_num_threads(3); before = ft.get_num_threads(); torch.set_num_threads(1)"
    assert printed(f"{program}; print(before, ft.get_num_threads())") == "3 1"
    assert printed(f"{program}; print(before, ft.get_num_threads())", FALTUNG_NUM_THREADS="2") == "2 2"
    assert printed(f"{program}; ft.set_num_threads(4); print(before, ft.get_num_threads())") == "3 4"


def test_a_change_between_two_calls():
    program = """
import torch, faltung.torch, faltung as ft, numpy as np
from faltung.runtime import pool
layer, x = faltung.torch.Conv1d(32, 32, 5), torch.ones(4, 32, 3000)
with torch.no_grad():
    results = []
    for number in (1, 3, 2):
        torch.set_num_threads(number)
        results.append(layer(x))
print(all(torch.equal(y, results[0]) for y in results))
"""
    assert printed(program) == "True"


@pytest.mark.parametrize("told, number", [("", 1), ("ft.set_num_threads(2)", 2)])
def test_a_worker_of_a_data_loader_has_one(told, number):
    assert printed(WORKER.replace("TOLD", told)) == str([[number, number, 1]] * 2)
