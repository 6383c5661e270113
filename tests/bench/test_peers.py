"""The real peers: each is right on everything it accepts, or says why not; whichever are installed."""

from faltung.bench.peers import OURS, PEERS
from faltung.bench.result import Comparison
from faltung.bench.side_by_side import compare

CASES = {
    "plain": "conv1d n2 w40 ic4 oc6 kw3",
    "options": "conv1d n2 w40 ic4 oc6 kw5 sw2 pw1:3 g2 bias relu",
    "depthwise": "conv1d n2 w40 ic4 oc8 kw3 dw2 g4 same",
    "signal": "conv1d n2 w300 ic1 oc1 kw31 causal bias",
    "image": "conv2d n2 h12 w10 ic4 oc6 kh3 kw2 sh2 sw2 ph1 pw0:1",
    "volume": "conv3d n1 d6 h7 w8 ic2 oc3 kd2 kh3 kw3 pd1 ph1 pw1",
    "transposed": "conv1d_transpose n2 w20 ic4 oc6 kw5 sw2 dw2 pw1",
    "grouped": "conv2d_transpose n1 h9 w7 ic6 oc4 kh3 kw2 sh2 g2",
    "double": "conv1d n2 w40 ic4 oc6 kw3 f64 pw2 reflect",
}
ALL_CAN = ("plain", "image", "volume")
"""What every installed library computes, but for SciPy."""


def run(
    cases: tuple[str, ...], peers: tuple[str, ...], *, mode: str = "forward", layout: str | None = None
) -> Comparison:
    """Compare for as short as possible; every answer is a time or a reason, and no one is wrong."""
    places = {name: PEERS[name] for name in peers}
    found = compare({name: CASES[name] for name in cases}, places, mode=mode, layout=layout, seconds=0)
    assert not found.refused
    for name, who in found.participants.items():
        assert who.description or who.missing.startswith("not installed: No module named"), (name, who)
    for name, case in found.cases.items():
        for peer, result in case.results.items():
            said = f"{peer} on {name}: {result.status}: {result.reason}"
            assert result.status in ("measured", "unsupported", "failed"), said
            assert result.is_measured or result.reason, said
            assert result.is_measured or name not in ALL_CAN or "scipy" in peer, said
    return found


def test_every_peer_is_right() -> None:
    found = run(tuple(CASES), tuple(name for name in PEERS if name != "torch-compile"))
    for peer in OURS:
        assert all(case.results[peer].is_measured for case in found.cases.values())
    for peer in ("torch", "jax", "jax-ncw"):
        assert found.participants[peer].missing or found.cases["transposed"].results[peer].is_measured
    for peer in ("scipy", "scipy-fft"):
        assert found.participants[peer].missing or found.cases["signal"].results[peer].is_measured


def test_who_holds_channels_first_is_right_on_channels_last() -> None:
    run(("plain", "image"), ("torch", "onnxruntime", "openvino"), layout="nwc")


def test_who_holds_channels_last_is_right_on_channels_first() -> None:
    run(("plain", "image"), ("torch-2d", "jax"), layout="ncw")


def test_every_gradient_is_right() -> None:
    run(
        ("plain", "depthwise", "image"), ("torch", "torch-2d", "tensorflow", "keras", "jax", "jax-ncw"), mode="training"
    )


def test_compiled_pytorch_is_right_or_says_why_it_does_not_work_here() -> None:
    found = compare({"plain": CASES["plain"]}, {"torch-compile": PEERS["torch-compile"]}, seconds=0)
    result = found.cases["plain"].results.get("torch-compile")
    assert result is None or result.is_measured or (result.status == "failed" and result.reason)
