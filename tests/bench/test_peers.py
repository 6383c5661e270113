"""The real peers: each is right on everything it accepts, or says why not; whichever are installed."""

import pytest

from faltung.bench.peers import OURS, PEERS
from faltung.bench.result import Comparison
from faltung.bench.side_by_side import compare

CASES = {
    "plain": "conv1d n2 w40 ic4 oc6 kw3",
    "options": "conv1d n2 w40 ic4 oc6 kw5 sw2 pw1:3 g2 bias relu",
    "dilated": "conv1d n1 w40 ic4 oc4 kw3 dw3 causal",
    "depthwise": "conv1d n2 w40 ic4 oc8 kw3 g4 same",
    "signal": "conv1d n2 w300 ic1 oc1 kw31 same bias",
    "image": "conv2d n2 h12 w10 ic4 oc6 kh3 kw2 sh2 sw2 ph1 pw0:1",
    "depthwise_image": "conv2d n1 h12 w10 ic4 oc4 kh3 kw3 g4 same",
    "volume": "conv3d n1 d6 h7 w8 ic2 oc3 kd2 kh3 kw3 pd1 ph1 pw1",
    "double": "conv1d n2 w40 ic4 oc6 kw3 f64",
    "reflected": "conv1d n2 w40 ic4 oc6 kw3 pw2 reflect",
}
LIBRARIES = {name: place for name, place in PEERS.items() if name != "torch-compile"}
SURE = ("plain", "signal", "image", "volume")
"""Cases that every installed library computes, but for SciPy."""


def assert_answers(run: Comparison) -> None:
    for name, who in run.participants.items():
        assert who.description or who.missing.startswith("not installed: No module named"), (name, who)
    for name, case in run.cases.items():
        for peer, result in case.results.items():
            assert result.status in ("measured", "unsupported", "failed") and (result.is_measured or result.reason), (
                f"{peer} on {name}: {result.status}: {result.reason}"
            )


@pytest.mark.slow
@pytest.mark.parametrize("layout", [None, "nwc", "ncw"])
def test_every_peer_is_right(layout: str | None) -> None:
    run = compare(CASES, LIBRARIES, layout=layout, seconds=0.01)
    assert_answers(run)
    assert not run.refused
    for name in SURE:
        for peer, result in run.cases[name].results.items():
            lacks_layout = peer in ("tensorflow", "keras") and layout == "ncw"
            assert result.is_measured or lacks_layout or "scipy" in peer, f"{peer} on {name}: {result.reason}"
    for peer in OURS:
        assert all(peer not in case.results or case.results[peer].is_measured for case in run.cases.values())
    if "scipy" in run.cases["signal"].results:
        assert run.cases["signal"].results["scipy"].is_measured


@pytest.mark.slow
def test_every_peer_with_gradients_has_the_right_ones() -> None:
    plain = {name: text for name, text in CASES.items() if "relu" not in text and "reflect" not in text}
    run = compare(plain, LIBRARIES, mode="training", seconds=0.01)
    assert_answers(run)
    for peer in ("torch", "torch-2d", "jax", "jax-ncw"):
        for name in SURE:
            assert peer not in run.cases[name].results or run.cases[name].results[peer].is_measured


@pytest.mark.slow
def test_compiled_pytorch_is_right_or_says_why_it_does_not_work_here() -> None:
    run = compare({"plain": CASES["plain"]}, {"torch-compile": PEERS["torch-compile"]}, seconds=0.01)
    assert_answers(run)
