"""`torch.nn.functional`'s convolutions, with its signatures, computed by faltung."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from faltung.frontends.torch import operators
from faltung.frontends.torch.coverage import refusal
from faltung.frontends.torch.tensors import as_array, as_tensor, is_channels_last, is_observed
from faltung.spec import named
from faltung.spec.geometry import resolve_padding, window_size
from faltung.spec.layout import layouts, resolve_layout
