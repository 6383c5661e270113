"""The text form of a spec: one line that is test name, benchmark case, cache key and bug report at once.

``conv2d n32 h28 w28 ic64 oc64 kh3 kw3 sh2 sw2 dh1 dw1 g4 ph1 pw0:1 reflect nchw oihw bias relu f32 exact``

First the function, then words in any order. A letter and a number: n batch (``n4x8`` for two axes),
``d h w`` input sizes, ``ic oc`` channels, ``kd kh kw`` taps, ``sd sh sw`` stride, ``dd dh dw`` dilation,
``g`` groups, ``pd ph pw`` padding, one number for both ends or ``low:high``. Words alone: a padding, a padding
mode, a layout, a kernel layout, ``bias``, an activation (``leaky_relu:0.01``), ``f32 f64``, ``exact``.
What is not said has the default of ConvSpec.
"""

import re
from typing import TYPE_CHECKING, Any

from faltung.errors import ShapeError, UnsupportedConvError
from faltung.spec.activation import ACTIVATIONS, ALIASES
from faltung.spec.geometry import PADDING_MODES, PADDINGS
from faltung.spec.layout import KERNEL_LAYOUTS, LAYOUTS, RANKS, kernel_layouts, layouts, spatial_axes
from faltung.spec.rules import brief, did_you_mean, spoken

if TYPE_CHECKING:
    from faltung.spec.conv_spec import ConvSpec

DTYPES = {"f32": "float32", "f64": "float64"}
WORDS: dict[str, tuple[str, object]] = {
    **{word: ("padding", word) for word in PADDINGS},
    **{word: ("padding_mode", word) for word in PADDING_MODES},
    **{word.lower(): ("layout", word) for word in LAYOUTS},
    **{word.lower(): ("kernel_layout", word) for word in KERNEL_LAYOUTS},
    **{word: ("activation", word) for word in (*ACTIVATIONS, *ALIASES)},
    **{word: ("dtype", dtype) for word, dtype in DTYPES.items()},
    "bias": ("bias", True),
    "exact": ("precision", "exact"),
    "high": ("precision", "high"),
}
COUNTS = {"n": "batch", "ic": "in_channels", "oc": "out_channels", "g": "groups"}
PER_AXIS = {"": "in_size", "k": "kernel_size", "s": "stride", "d": "dilation", "p": "padding"}
REQUIRED = ("in_size", "in_channels", "out_channels", "kernel_size")
DEFAULTS = {"stride": 1, "dilation": 1, "padding": (0, 0)}


def parse_spec(text: str) -> dict[str, Any]:
    """Return the arguments of ConvSpec that a line describes.

    >>> parse_spec("conv1d n8 w100 ic3 oc16 kw3 same")["padding"]
    'same'
    """
    if not isinstance(text, str):
        raise ShapeError(f"a spec is a line of text; got {brief(text)}. Give one such as 'conv1d n1 w9 ic1 oc1 kw3'.")
    function, *tokens = text.split() or [""]
    axes = _axes(function)
    letters = {letter: (field, "") for letter, field in COUNTS.items()}
    letters |= {letter + axis: (field, axis) for letter, field in PER_AXIS.items() for axis in axes}

    said: dict[tuple[str, str], Any] = {}
    for token in map(str.lower, tokens):
        field, axis, value = _read(function, token, letters)
        if (field, axis) in said:
            raise ShapeError(f"each thing is said once; got {brief(token)} and another {field} before. Drop one.")
        said[field, axis] = value

    missing = [letter for letter, (field, axis) in letters.items() if field in REQUIRED and (field, axis) not in said]
    if missing:
        raise ShapeError(f"{function} needs {spoken(missing, 'and')}; got {brief(text)}. Add {missing[0]}3, say.")
    arguments = {field: value for (field, axis), value in said.items() if not axis}
    for field in {field for field, axis in said if axis}:
        if field in arguments:
            raise ShapeError(f"padding is said in a word or in numbers; got both, {arguments[field]!r} and numbers.")
        arguments[field] = tuple(said.get((field, axis), DEFAULTS.get(field)) for axis in axes)
    return arguments


def _axes(function: str) -> str:
    ranks = {f"conv{rank}d": rank for rank in RANKS}
    if function.removesuffix("_transpose") in ranks and function not in ranks:
        raise UnsupportedConvError(
            f"a transposed convolution has no spec; got {brief(function)}. Give its forward one."
        )
    if function not in ranks:
        raise ShapeError(f"a spec begins with {spoken(ranks)}; got {brief(function)}.")
    return spatial_axes(ranks[function])


def _read(function: str, token: str, letters: dict[str, tuple[str, str]]) -> tuple[str, str, object]:
    """Return the field, its axis ("" for none) and the value that one token sets."""
    word, colon, parameter = token.partition(":")
    if word in WORDS:
        field, value = WORDS[word]
        if not colon:
            return field, "", value
        if field == "activation":
            return field, "", (value, _number(float, parameter, token))
    match = re.fullmatch(r"([a-z]+)(-?\d[-\dx:]*)", token)
    if match is None or match[1] not in letters:
        rule = f"words of {function} are {', '.join(letters)} with a number, and {spoken(WORDS, 'and')}"
        raise ShapeError(f"{rule}; got {brief(token)}. {did_you_mean(token, WORDS)}")
    field, axis = letters[match[1]]
    splitter = {"batch": "x", "padding": ":"}.get(field, " ")
    numbers = tuple(_number(int, part, token) for part in match[2].split(splitter))
    if field == "padding":
        return field, axis, numbers * 2 if len(numbers) == 1 else numbers
    return field, axis, numbers if field == "batch" else numbers[0]


def _number(kind: type[int] | type[float], digits: str, token: str) -> int | float:
    try:
        return kind(digits)
    except ValueError:
        raise ShapeError(f"{brief(token)} needs a number after its letters; got {brief(digits)}.") from None


def print_spec(spec: "ConvSpec") -> str:
    """Return the line that describes ``spec``, in one order, defaults left out."""
    axes = spatial_axes(spec.rank)
    words = [spec.name, "n" + "x".join(map(str, spec.batch))]

    def numbers(letter: str, default: object = None) -> list[str]:
        values = getattr(spec, PER_AXIS[letter])
        return [f"{letter}{axis}{value}" for axis, value in zip(axes, values, strict=True) if value != default]

    words += numbers("")
    words += [f"ic{spec.in_channels}", f"oc{spec.out_channels}"]
    words += numbers("k") + numbers("s", 1) + numbers("d", 1)
    words += [f"g{spec.groups}"] * (spec.groups != 1)
    for axis, (low, high) in zip(axes, spec.padding, strict=True):
        if low or high:
            words.append(f"p{axis}{low}" if low == high else f"p{axis}{low}:{high}")
    words += [spec.padding_mode] * (spec.padding_mode != "zeros")
    words += [spec.layout.lower()] * (spec.layout != layouts(spec.rank)[0])
    words += [spec.kernel_layout.lower()] * (spec.kernel_layout != kernel_layouts(spec.rank)[0])
    words += ["bias"] * spec.bias
    if spec.activation:
        is_default = spec.activation_parameter == ACTIVATIONS[spec.activation]
        words.append(spec.activation if is_default else f"{spec.activation}:{spec.activation_parameter!r}")
    words += [word for word, dtype in DTYPES.items() if dtype == spec.dtype]
    words += [spec.precision] * (spec.precision != "high")
    return " ".join(words)


def read_cases(text: str) -> dict[str, str]:
    """Return the spec texts of a case file by name.

    A line is ``name: spec  # comment``; a line without a name is its own name; empty lines are skipped.

    >>> read_cases("stem: conv1d n1 w20 ic3 oc16 kw3  # first layer")
    {'stem': 'conv1d n1 w20 ic3 oc16 kw3'}
    """
    cases: dict[str, str] = {}
    for line in text.splitlines():
        body = " ".join(line.partition("#")[0].split())
        if not body:
            continue
        first, _, rest = body.partition(" ")
        name, spec = (first[:-1], rest) if first.endswith(":") else (body, body)
        if name in cases:
            raise ShapeError(f"names of cases must differ; got {name!r} twice. Rename one.")
        cases[name] = spec
    return cases
