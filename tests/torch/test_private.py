"""Private names of PyTorch: all are there in this version; where one is not, calls take the way that needs none."""

import pytest
import torch
from checking import python
from torch.func import jvp

import faltung.torch
import faltung.torch.functional as F
from faltung.torch import private

pytestmark = pytest.mark.filterwarnings(  # PyTorch's own modules use what it deprecates
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning"
)


def test_this_version_of_pytorch_has_them_all():
    assert private.MISSING == [] and private.LIBRARY is not None
    for name in ("_is_torch_function_mode_enabled", "_get_tracing_state"):
        assert hasattr(torch._C, name)
    assert hasattr(torch.autograd.profiler, "_is_profiler_enabled")


def test_a_missing_question_has_an_answer():
    assert private._question("_no_such_name", lambda: 7)() == 7


WITHOUT = """
import torch
from torch.autograd import forward_ad, profiler
del forward_ad._current_level, profiler._is_profiler_enabled
import faltung.torch
from faltung.torch import private
layer, x = faltung.torch.Conv1d(3, 4, 5, padding="causal"), torch.ones(1, 3, 20)
assert layer(x).shape == (1, 4, 20) and not private.is_profiled()
print(faltung.torch.why(layer, x))
"""


def test_where_nobody_can_tell_who_watches_pytorch_computes():
    done = python(WITHOUT)
    lacks = "this version of PyTorch lacks _current_level, which tells faltung who watches a call"
    assert done.stdout == f"PyTorch's own kernel: {lacks}.\n", done.stderr


def test_everything_goes_to_pytorch_then(monkeypatch):
    monkeypatch.setattr(private, "MISSING", ["_len_torch_dispatch_stack", "_current_level"])
    x, kernel = torch.randn(2, 4, 20), torch.randn(6, 4, 3)
    theirs = torch.nn.functional.conv1d(x, kernel)
    assert torch.equal(F.conv1d(x, kernel), theirs)
    assert torch.equal(F.conv1d(x.mT, kernel, layout="NWC").mT, theirs)
    expected = torch.nn.functional.conv_transpose1d(theirs, kernel)
    assert torch.equal(F.conv_transpose1d(theirs, kernel, precision="exact"), expected)
    ours = jvp(lambda x: F.conv1d(x, kernel), (x,), (torch.ones_like(x),))
    torch.testing.assert_close(ours, jvp(lambda x: torch.nn.functional.conv1d(x, kernel), (x,), (torch.ones_like(x),)))
    assert "lacks _len_torch_dispatch_stack and _current_level," in faltung.torch.why(F.conv1d, x, kernel)
