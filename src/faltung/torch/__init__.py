"""faltung for PyTorch: modules, functions, and who computes what.

>>> import torch
>>> import faltung.torch
>>> layer = faltung.torch.Conv1d(3, 16, 5, padding="causal")  # a torch.nn.Conv1d
>>> layer(torch.ones(8, 3, 100)).shape
torch.Size([8, 16, 100])
>>> faltung.torch.why(layer, torch.ones(8, 3, 100, dtype=torch.bfloat16))
"PyTorch's own kernel: x is bfloat16, and faltung computes in float32 and float64."

Read it in this order: `private.py` (what PyTorch tells by private names only), `tensors.py` (memory and who is
watching), `options.py` (a call's options, and the dispatcher's words for them), `operators.py` (the three operators and
their derivatives), `dispatch.py` (what an operator is to PyTorch), `batching.py` (vmap), `bias.py` (the gradient of a
bias), `fast_path.py` (without derivatives), `coverage.py` (what goes to PyTorch's own kernel), `calls.py` (which of
these ways), `stock.py` (PyTorch's kernel, paddings written out), `answers.py` (PyTorch's own errors), `functional.py`,
`likeness.py` (classes that pass for PyTorch's), `scripted.py` (for TorchScript), `modules.py`, `why.py`, `replace.py`
(ft.accelerate, and back). `flops.py` and `fusing.py` tell tools of us. `threads.py` borrows PyTorch's threads,
from the first computation on.
"""

from faltung.frontends.report import Report
from faltung.torch import functional, fusing
from faltung.torch.modules import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    LazyConv1d,
    LazyConv2d,
    LazyConv3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
    LazyConvTranspose3d,
)
from faltung.torch.replace import report, restore
from faltung.torch.why import why

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "Report",
    "functional",
    "report",
    "restore",
    "why",
]

fusing.register()
