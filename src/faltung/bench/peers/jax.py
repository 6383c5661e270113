"""JAX: lax.conv_general_dilated, jitted."""

import os
from typing import ClassVar

from faltung.bench.peers.peer import Call, Peer, Work, refuse, refuse_other_options


class Jax(Peer):
    """`jax.jit(lax.conv_general_dilated)`, channels last."""

    packages: ClassVar[tuple[str, ...]] = ("jax", "jaxlib")
    transposes = True

    def __init__(self, threads: int) -> None:
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax  # its thread pool has as many threads as we may run on processors

        self.jax = jax

    def prepare(self, work: Work) -> Call:
        """Return a call of the jitted convolution, or of its value and both gradients, that waits for the result."""
        jax, spec = self.jax, work.spec
        refuse_other_options(spec)
        jax.config.update("jax_enable_x64", spec.dtype == "float64")
        layouts = (spec.layout, spec.kernel_layout, spec.layout)
        bias = None if work.bias is None else jax.numpy.asarray(work.bias)
        if bias is not None and not spec.is_channels_last:
            bias = bias.reshape(-1, *[1] * spec.rank)

        def transposed(x, kernel):  # type: ignore[no-untyped-def]
            windows = zip(spec.effective_kernel, spec.padding, strict=True)
            pairs = [(size - 1 - low, size - 1 - high) for size, (low, high) in windows]
            options = {"rhs_dilation": spec.dilation, "dimension_numbers": layouts, "transpose_kernel": True}
            return jax.lax.conv_transpose(x, kernel, spec.stride, pairs, **options)

        def convolve(x, kernel):  # type: ignore[no-untyped-def]
            y = jax.lax.conv_general_dilated(
                x,
                kernel,
                spec.stride,
                spec.padding,
                rhs_dilation=spec.dilation,
                dimension_numbers=layouts,
                feature_group_count=spec.groups,
            )
            y = y if bias is None else y + bias
            return jax.nn.relu(y) if spec.activation else y

        def convolve_and_differentiate(x, kernel, dy):  # type: ignore[no-untyped-def]
            y, gradients = jax.vjp(convolve, x, kernel)
            return (y, *gradients(dy))

        arguments = [jax.numpy.asarray(array) for array in (work.x, work.kernel)]
        if work.is_training:
            arguments.append(jax.numpy.asarray(work.dy))
        if work.is_transposed and spec.groups > 1:
            raise refuse("lax.conv_transpose knows no groups")
        forward = transposed if work.is_transposed else convolve
        function = jax.jit(convolve_and_differentiate if work.is_training else forward)
        return lambda: jax.block_until_ready(function(*arguments))

    def release(self) -> None:
        """Drop compiled functions."""
        self.jax.clear_caches()


class JaxChannelsFirst(Jax):
    """`jax.jit(lax.conv_general_dilated)`, channels first."""

    layout, kernel_layout = "ncw", "OIW"
