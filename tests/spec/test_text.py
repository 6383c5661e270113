"""The text form: every spec survives the way out and back; every line of the suites parses."""

import pytest
from hypothesis import given, settings
from strategies import conv_specs

from faltung.bench.suite import SUITES, load
from faltung.errors import ShapeError, UnsupportedConvError
from faltung.spec import ConvSpec, read_cases

CASES = {f"{suite}/{name}": text for suite in SUITES for name, text in load(suite).items()}


@settings(max_examples=500, deadline=None)
@given(conv_specs(max_macs=10**9))
def test_round_trip(spec):
    again = ConvSpec.from_text(spec.to_text())
    assert again == spec
    assert hash(again) == hash(spec)
    assert again.to_text() == spec.to_text()


@pytest.mark.parametrize("name", CASES)
def test_every_line_of_the_suites_parses(name):
    text = CASES[name]
    if text.startswith("conv1d_transpose"):
        with pytest.raises(UnsupportedConvError, match="a transposed convolution has no spec; got 'conv1d_transpose'"):
            ConvSpec.from_text(text)
    else:
        spec = ConvSpec.from_text(text)
        assert ConvSpec.from_text(spec.to_text()) == spec
        assert spec.macs > 0


def test_words_and_letters():
    text = (
        "conv3d n3 d48 h32 w16 ic8 oc16 kd1 kh3 kw5 sd1 sh2 sw3 dd1 dh2 dw3 g4 pd0 ph1:0 pw12 "
        "reflect ncdhw oidhw bias leaky_relu:0.01 f64 exact"
    )
    spec = ConvSpec.from_text(text)
    assert spec == ConvSpec(
        in_size=(48, 32, 16),
        in_channels=8,
        out_channels=16,
        kernel_size=(1, 3, 5),
        batch=3,
        stride=(1, 2, 3),
        padding=(0, (1, 0), 12),
        dilation=(1, 2, 3),
        groups=4,
        layout="NCDHW",
        kernel_layout="OIDHW",
        padding_mode="reflect",
        bias=True,
        activation=("leaky_relu", 0.01),
        dtype="float64",
        precision="exact",
    )
    canonical = "conv3d n3 d48 h32 w16 ic8 oc16 kd1 kh3 kw5 sh2 sw3 dh2 dw3 g4 ph1:0 pw12"
    assert str(spec) == f"{canonical} reflect ncdhw oidhw bias leaky_relu:0.01 f64 exact"


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("conv1d w20 kw3 oc16 ic3", "conv1d n1 w20 ic3 oc16 kw3 f32"),
        ("conv1d n4x8 w20 ic3 oc16 kw3 SAME", "conv1d n4x8 w20 ic3 oc16 kw3 pw1 f32"),
        ("conv1d n1 w20 ic3 oc16 kw4 same_lower", "conv1d n1 w20 ic3 oc16 kw4 pw2:1 f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 dw16 causal", "conv1d n1 w20 ic3 oc16 kw3 dw16 pw32:0 f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 reflect", "conv1d n1 w20 ic3 oc16 kw3 f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 nwc wio zeros linear high", "conv1d n1 w20 ic3 oc16 kw3 f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 swish elu", None),
        ("conv1d n1 w20 ic3 oc16 kw3 swish", "conv1d n1 w20 ic3 oc16 kw3 silu f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 elu:1", "conv1d n1 w20 ic3 oc16 kw3 elu f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 elu:1e-05", "conv1d n1 w20 ic3 oc16 kw3 elu:1e-05 f32"),
        ("conv1d n1 w20 ic3 oc16 kw3 leaky_relu:-0.5", "conv1d n1 w20 ic3 oc16 kw3 leaky_relu:-0.5 f32"),
        ("conv2d n1 h9 w9 ic3 oc16 kh3 kw3 oiw pw1", "conv2d n1 h9 w9 ic3 oc16 kh3 kw3 pw1 oihw f32"),
    ],
)
def test_canonical_form(text, canonical):
    if canonical is None:
        with pytest.raises(ShapeError, match="got 'elu' and another activation before"):
            ConvSpec.from_text(text)
    else:
        assert ConvSpec.from_text(text).to_text() == canonical


BASE = "conv1d n1 w10 ic3 oc4 kw3 "


@pytest.mark.parametrize(
    "text, message",
    [
        ("", r"a spec begins with conv1d, conv2d or conv3d; got ''\."),
        ("conv4d n1", r"a spec begins with conv1d, conv2d or conv3d; got 'conv4d'\."),
        ("conv1d n1 w10 ic3 oc4", r"conv1d needs kw; got 'conv1d n1 w10 ic3 oc4'\. Add kw3, say\."),
        ("conv2d n1", "conv2d needs ic, oc, h, w, kh and kw; got"),
        (
            BASE + "rleu",
            r"words of conv1d are n, ic, .*pw with a number, .* f64.*; got 'rleu'\. Did you mean 'relu'\?",
        ),
        (BASE + "kh3", "words of conv1d .*; got 'kh3'"),
        (BASE + "nx", "words of conv1d .*; got 'nx'"),
        (BASE + "bias:2", "words of conv1d .*; got 'bias:2'"),
        (BASE + "w11", r"each thing is said once; got 'w11' and another in_size before\. Drop one\."),
        (BASE + "same pw1", "padding is said in a word or in numbers; got both, 'same' and numbers"),
        (BASE + "elu:", r"'elu:' needs a number after its letters; got ''\."),
        (BASE + "sw2:1", r"'sw2:1' needs a number after its letters; got '2:1'\."),
        ("conv1d n4x w10 ic3 oc4 kw3", r"'n4x' needs a number after its letters; got ''\."),
        (BASE + "pw1:2:3", r"padding of axis w must be an int or \(low, high\); got \(1, 2, 3\)"),
        (BASE + "pw-1", r"padding of axis w must not be negative; got \(-1, -1\)\. Slice the input instead\."),
        (BASE + "relu:1", r"only leaky_relu and elu take a parameter; got 1\.0 for relu\."),
        (BASE + "nhwc", "layout of conv1d must be NWC or NCW; got 'NHWC'"),
    ],
)
def test_messages(text, message):
    with pytest.raises(ShapeError, match=r"^ConvSpec\.from_text: " + message):
        ConvSpec.from_text(text)


def test_read_cases():
    text = """
        # a heading
        first:   conv1d n1 w20  ic3 # why: because
        net/a.b: conv2d n1 pw1:2
        conv3d n1
    """
    assert read_cases(text) == {
        "first": "conv1d n1 w20 ic3",
        "net/a.b": "conv2d n1 pw1:2",
        "conv3d n1": "conv3d n1",
    }
    with pytest.raises(ShapeError, match=r"names of cases must differ; got 'a' twice\. Rename one\."):
        read_cases("a: conv1d\na: conv2d")
