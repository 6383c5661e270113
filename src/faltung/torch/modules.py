"""Modules that are `torch.nn.Conv1d` and its kin, computed by faltung: same constructor, same `state_dict`.

More than PyTorch's: padding "same" with a stride, "causal" (1-D), (low, high) pairs; `layout`, such as "NWC", which
says that input and output are channels last; and `precision`, "high" or "exact", which admits direct summation only, in
the gradients too. No class adds state to its parent's: a module may change its class.
"""

import inspect
from typing import Any

from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]  # PyTorch forgot it in its list of names
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from faltung.spec import named
from faltung.spec.layout import resolve_layout
from faltung.spec.options import ConvOptions
from faltung.spec.precision import PRECISIONS, in_effect
from faltung.spec.rules import one_of
from faltung.torch import calls, scripted
from faltung.torch.likeness import Likeness, change_class
from faltung.torch.options import FIRST, in_torchs_order
from faltung.torch.stock import is_torchs

# TorchScript makes lists of the tuples that it is given
_scripted_convolve: Any = scripted.convolve
_scripted_transposed: Any = scripted.convolve_transposed


class Module(_ConvNd, metaclass=Likeness):
    """What forward and transposed modules share: a rank, that of the class, and what PyTorch's constructors lack."""

    rank: int
    stock: Any
    """PyTorch's class that this one stands for."""
    layout: str | None = None
    precision: str | None = None

    __constants__ = [*_ConvNd.__constants__, "rank", "written"]  # noqa: RUF012  # as PyTorch has it
    __jit_unused_properties__ = ("written", "qconfig")

    def _set_own(self, layout: str | None, precision: str | None) -> None:
        """Keep what is not the default of the class."""
        if layout is not None:
            self.layout = resolve_layout(layout, self.rank)
        if precision is not None:
            with named(type(self).__name__):
                self.precision = one_of("precision", precision, PRECISIONS)

    def conv_options(self) -> ConvOptions:
        """The options as they stand in the attributes, which may change at any time."""
        order = self.layout or FIRST[self.rank]
        return ConvOptions(
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            order,
            "OIW",
            self.padding_mode,
            None,
            in_effect(self.precision),
        )

    @property
    def written(self) -> scripted.Written:
        """The options as TorchScript takes them."""
        return scripted.written(self.rank, self.kernel_size, self.conv_options())

    @property
    def qconfig(self) -> Any:
        """How PyTorch is to quantise this layer; None for not at all."""
        if "qconfig" not in vars(self):
            raise AttributeError("this layer has no qconfig")
        return vars(self)["qconfig"]

    @qconfig.setter
    def qconfig(self, config: Any) -> None:
        """Become PyTorch's layer, which it then quantises: from class to class, each compared by identity."""
        vars(self)["qconfig"] = config
        if config is not None and self.unknown_to_pytorch() is None:
            self.become_stock()

    def unknown_to_pytorch(self) -> str | None:
        """What PyTorch's layer does not know of this one's options; None if it knows them all."""
        if self.layout is not None:
            return f"layout={self.layout!r}"
        if not is_torchs(self.padding, self.stride):
            return f"padding={self.padding!r} with stride={self.stride}"
        return None

    def become_stock(self) -> None:
        """Change the class to PyTorch's."""
        vars(self).pop("precision", None)
        change_class(self, self.stock)

    def extra_repr(self) -> str:
        """What stands between the parentheses: PyTorch's text, and what is not the default of ours."""
        layout = "" if self.layout is None else f", layout={self.layout}"
        precision = "" if self.precision is None else f", precision={self.precision}"
        return f"{super().extra_repr()}{layout}{precision}"


class _Convolution(Module):
    """The forward modules."""

    def __init__(
        self, *arguments: Any, layout: str | None = None, precision: str | None = None, **options: Any
    ) -> None:
        call = inspect.signature(super().__init__).bind(*arguments, **options)
        padding = call.arguments.get("padding", 0)
        # PyTorch's refuse these, or some strides with them
        is_ours = padding in ("same", "causal") or _has_pairs(padding)
        if is_ours:
            call.arguments["padding"] = 0
        super().__init__(*call.args, **call.kwargs)
        if is_ours:
            self.padding = padding
        self._set_own(layout, precision)

    def forward(self, input: Tensor) -> Tensor:
        if is_scripting():
            return _scripted_convolve(
                input, self.weight, self.bias, self.stride, self.dilation, self.groups, *self.written
            )
        parameters = self._parameters  # where weights normally are, found in a tenth of the time
        weight, bias = parameters.get("weight"), parameters.get("bias")
        return self._conv_forward(input, self.weight if weight is None else weight, self.bias if bias is None else bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return calls.convolve(self.rank, input, weight, bias, self.conv_options())


class _Transposed(Module, _ConvTransposeNd):
    """The transposed modules."""

    def __init__(
        self, *arguments: Any, layout: str | None = None, precision: str | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._set_own(layout, precision)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if is_scripting():
            # PyTorch types as lists what its modules hold as tuples
            return _scripted_transposed(
                input,
                self.weight,
                self.bias,
                self.stride,
                self.padding,
                self._output_padding(
                    input,
                    output_size,
                    self.stride,  # type: ignore[arg-type]
                    self.padding,  # type: ignore[arg-type]
                    self.kernel_size,  # type: ignore[arg-type]
                    self.rank,
                    self.dilation,  # type: ignore[arg-type]
                ),
                self.groups,
                self.dilation,
            )
        rank, options = self.rank, self.conv_options()
        sizes: Any = (self.stride, self.padding, self.kernel_size, rank, self.dilation)
        output_padding = self._output_padding(in_torchs_order(rank, input, options), output_size, *sizes)
        return calls.convolve_transposed(rank, input, self.weight, self.bias, output_padding, options)


def _has_pairs(padding: Any) -> bool:
    return not isinstance(padding, str | int) and any(not isinstance(entry, int) for entry in padding)


class Conv1d(_Convolution, nn.Conv1d):
    """`torch.nn.Conv1d`, computed by faltung.

    >>> import torch
    >>> Conv1d(16, 32, 7, stride=2, padding="same")(torch.ones(8, 16, 100)).shape
    torch.Size([8, 32, 50])
    """

    rank = 1
    stock: Any = nn.Conv1d


class Conv2d(_Convolution, nn.Conv2d):
    """`torch.nn.Conv2d`, computed by faltung.

    >>> import torch
    >>> Conv2d(3, 16, 3, padding=((0, 1), (1, 0)))(torch.ones(1, 3, 32, 32)).shape
    torch.Size([1, 16, 31, 31])
    """

    rank = 2
    stock: Any = nn.Conv2d


class Conv3d(_Convolution, nn.Conv3d):
    """`torch.nn.Conv3d`, computed by faltung.

    >>> import torch
    >>> Conv3d(2, 4, 3, layout="NDHWC")(torch.ones(1, 8, 8, 8, 2)).shape
    torch.Size([1, 6, 6, 6, 4])
    """

    rank = 3
    stock: Any = nn.Conv3d


class ConvTranspose1d(_Transposed, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d`, computed by faltung.

    >>> import torch
    >>> ConvTranspose1d(32, 16, 4, stride=2, padding=1)(torch.ones(8, 32, 50)).shape
    torch.Size([8, 16, 100])
    """

    rank = 1
    stock: Any = nn.ConvTranspose1d


class ConvTranspose2d(_Transposed, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, computed by faltung."""

    rank = 2
    stock: Any = nn.ConvTranspose2d


class ConvTranspose3d(_Transposed, nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d`, computed by faltung."""

    rank = 3
    stock: Any = nn.ConvTranspose3d


class _Lazy(Module):
    """The lazy modules, whose constructors and rule for in_channels know nothing of ours."""

    def __init__(
        self, *arguments: Any, layout: str | None = None, precision: str | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._set_own(layout, precision)

    def _get_in_channels(self, input: Tensor) -> int:
        x = in_torchs_order(self.rank, input, self.conv_options())
        return super()._get_in_channels(x)  # type: ignore[misc]


class LazyConv1d(_Lazy, nn.LazyConv1d, Conv1d):  # type: ignore[misc]
    """`torch.nn.LazyConv1d`: in_channels are those of the first input."""

    stock = nn.LazyConv1d
    cls_to_become = Conv1d


class LazyConv2d(_Lazy, nn.LazyConv2d, Conv2d):  # type: ignore[misc]
    """`torch.nn.LazyConv2d`: in_channels are those of the first input."""

    stock = nn.LazyConv2d
    cls_to_become = Conv2d


class LazyConv3d(_Lazy, nn.LazyConv3d, Conv3d):  # type: ignore[misc]
    """`torch.nn.LazyConv3d`: in_channels are those of the first input."""

    stock = nn.LazyConv3d
    cls_to_become = Conv3d


class LazyConvTranspose1d(_Lazy, nn.LazyConvTranspose1d, ConvTranspose1d):  # type: ignore[misc]
    """`torch.nn.LazyConvTranspose1d`: in_channels are those of the first input."""

    stock = nn.LazyConvTranspose1d
    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_Lazy, nn.LazyConvTranspose2d, ConvTranspose2d):  # type: ignore[misc]
    """`torch.nn.LazyConvTranspose2d`: in_channels are those of the first input."""

    stock = nn.LazyConvTranspose2d
    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_Lazy, nn.LazyConvTranspose3d, ConvTranspose3d):  # type: ignore[misc]
    """`torch.nn.LazyConvTranspose3d`: in_channels are those of the first input."""

    stock = nn.LazyConvTranspose3d
    cls_to_become = ConvTranspose3d


OURS: dict[type[nn.Module], type[nn.Module]] = {
    ours.stock: ours
    for ours in (
        *(Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d),
        *(LazyConv1d, LazyConv2d, LazyConv3d, LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d),
    )
}
"""PyTorch's modules → ours."""
