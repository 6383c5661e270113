"""faltung for PyTorch: `faltung.torch.Conv1d` for `torch.nn.Conv1d`, `faltung.torch.functional` for its functions."""
from faltung.frontends.torch import functional
__all__ = ["functional"]
