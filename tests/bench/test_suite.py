"""The suites: every case has a text that is read."""

import pytest

from faltung.bench.case import read_case
from faltung.bench.suite import LAYOUTS, SUITES, in_layout, load
from faltung.spec import ConvSpec


@pytest.mark.parametrize("suite", SUITES)
def test_every_text_is_read(suite: str) -> None:
    transposed = {name for name, text in load(suite).items() if read_case(text).is_transposed}
    assert transposed == ({"istft"} if suite == "complaints" else set())
    assert all(read_case(text).spec.macs > 0 for text in load(suite).values())


def test_core_and_complaints_are_the_two_parts_of_one_file() -> None:
    assert {"ecg_first", "ct_mid"} <= load("core").keys()
    assert {"short_128", "point_64"} <= load("complaints").keys()
    assert load("core").keys().isdisjoint(load("complaints").keys())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", ["conv1d n2 w9 ic3 oc4 kw3", "conv3d n2 d4 h5 w6 ic3 oc4 kd2 kh3 kw3"])
def test_a_layout_moves_the_channels_only(text: str, layout: str) -> None:
    spec = ConvSpec.from_text(text)
    moved = in_layout(spec, layout)
    assert moved.is_channels_last == (layout == "nwc")
    assert moved.replace(layout=spec.layout) == in_layout(spec, None) == spec
