"""PyTorch's own module tests as judge: every convolution of common_nn, accelerated, and no exception."""

import warnings

import pytest
import torch
from torch import nn

import faltung as ft
from faltung.torch.why import reason_of_module

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what PyTorch's test suite imports warns of PyTorch's own plans
    from torch.testing._internal import common_nn

ENTRIES = [
    entry
    for entry in [*common_nn.module_tests, *common_nn.get_new_module_tests()]
    if "Conv" in str(entry.get("fullname", entry.get("module_name")))
]


def name_of(entry):
    name = entry.get("fullname", entry.get("module_name"))
    return f"{name}_{entry['desc']}" if "desc" in entry else name


class Judge(common_nn.NNTestCase):
    """What PyTorch's test_nn.py adds to the base of its module tests."""

    def _forward(self, module, input):
        with common_nn.freeze_rng_state():
            return module(*input) if isinstance(input, tuple) else module(input)

    def _backward(self, module, input, output, grad_output, create_graph=False):
        output.backward(grad_output, retain_graph=True, create_graph=create_graph)
        return None if input.grad is None else input.grad.data

    def _get_parameters(self, module):
        parameters = list(module.parameters())
        return parameters, [parameter.grad for parameter in parameters]

    def _zero_grad_parameters(self, module):
        module.zero_grad()


def test_there_are_as_many_as_there_were():
    assert len(ENTRIES) >= 62


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch, of its own copy
@pytest.mark.filterwarnings("ignore:Input #. requires gradient and")  # PyTorch, of its own float32 entries
@pytest.mark.parametrize("entry", ENTRIES, ids=[name_of(entry) for entry in ENTRIES])
def test_the_module_tests_of_pytorch(entry):
    made = []

    def accelerated(*arguments):
        stock = entry["constructor"]() if "constructor" in entry else getattr(nn, entry["module_name"])(*arguments)
        made.append(ft.accelerate(stock))
        return made[-1]

    words = {"gradcheck_fast_mode": True, "constructor_args": (), **entry, "constructor": accelerated}
    num_threads = torch.get_num_threads()
    try:
        common_nn.NewModuleTest(**words)(Judge())
    finally:
        torch.set_num_threads(num_threads)
    assert made and all(reason_of_module(module) is None for module in made)
