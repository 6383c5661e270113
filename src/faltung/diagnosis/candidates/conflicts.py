"""Options of a layer that do not go together, whatever the input, and the ways out."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.facts import Facts
from faltung.models.layer import Layer, short


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield the layer without the conflict."""
    if facts.layer.kind in ("conv", "conv_transpose") and facts.misfit.rule in WAYS_OUT:
        yield from WAYS_OUT[facts.misfit.rule](facts.layer)


def _same_with_stride(layer: Layer) -> Iterator[Candidate]:
    step = short(layer["stride"])
    pads = tuple(((size - 1) // 2, (size - 1) // 2) for size in layer.window)
    instead = f"{pads[0][0]} at each end gives ceil(steps / {step}) for an odd window"
    sentence, kind = f'PyTorch has no padding="same" for stride {step}; {instead}', "same with stride"
    yield changed(layer, costs.SAME_AS_NUMBERS, kind, sentence, padding=pads)
    ones = (1,) * layer.rank
    yield changed(layer, costs.SAME_WITHOUT_STRIDE, kind, "stride 1 goes with padding same", stride=ones)


def _stride_with_dilation(layer: Layer) -> Iterator[Candidate]:
    numbers = f"stride {short(layer['stride'])} together with dilation {short(layer['dilation'])}"
    sentence, kind, ones = f"Keras has no {numbers}", "stride with dilation", (1,) * layer.rank
    yield changed(layer, costs.DILATION_WITHOUT_STRIDE, kind, sentence, stride=ones)
    yield changed(layer, costs.STRIDE_WITHOUT_DILATION, kind, sentence, dilation=ones)


def _causal_with_channels_first(layer: Layer) -> Iterator[Candidate]:
    sentence, kind = "Keras pads causally with channels last only", "causal with channels first"
    yield changed(layer, costs.CAUSAL_CHANNELS_LAST, kind, sentence, is_first=False, data_format=None)
    yield changed(layer, costs.CAUSAL_AS_SAME, kind, sentence, padding="same")


def _output_padding(layer: Layer) -> Iterator[Candidate]:
    said, stride, dilation = layer["output_padding"], layer["stride"], layer["dilation"]
    limit = [max(a, b) if layer.host == "torch" else a for a, b in zip(stride, dilation, strict=True)]
    less = tuple(min(more, most - 1) for more, most in zip(said, limit, strict=True))
    sentence = (
        f"output_padding {short(said)} must be below the stride {short(stride)}: "
        "it only chooses among the lengths that the stride merges"
    )
    yield changed(layer, costs.LESS_OUTPUT_PADDING, "output_padding", sentence, output_padding=less)
    wide = tuple(max(more + 1, old) for more, old in zip(said, stride, strict=True))
    yield changed(layer, costs.STRIDE_FOR_OUTPUT_PADDING, "output_padding", sentence, stride=wide)


WAYS_OUT = {
    "same with stride": _same_with_stride,
    "stride with dilation": _stride_with_dilation,
    "causal with channels first": _causal_with_channels_first,
    "output_padding": _output_padding,
}
"""By the rule that is broken; that of the kernel's rank is in rank.py, that of the groups in groups.py."""
