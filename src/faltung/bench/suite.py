"""The suites: named spec texts in data files, shared by tests and benchmarks, and generated sweeps."""

from importlib import resources

from faltung.bench import sweep
from faltung.spec import ConvSpec, read_cases

LAYOUTS = {"nwc": ("NWC", "NHWC", "NDHWC"), "ncw": ("NCW", "NCHW", "NCDHW")}
"""Channels last and first, by rank."""
SUITES = ("core", "complaints", "networks", "sweep", "found")
_COMPLAINTS = "# --- complaints"  # the line of cases.txt that parts its two suites


def load(suite: str) -> dict[str, str]:
    """Return the spec texts of one of `SUITES` by name, in the order of its file; see sweep.py for `sweep`.

    >>> load("core")["seed_ts"]
    'conv1d n1 w20 ic3 oc16 kw3'
    """
    if suite == "sweep":
        return sweep.cases()
    if suite in ("networks", "found"):
        return read_cases(_read(f"{suite}.txt"))
    core, mark, complaints = _read("cases.txt").partition(_COMPLAINTS)
    return read_cases(core if suite == "core" else mark + complaints)


def in_layout(spec: ConvSpec, layout: str | None) -> ConvSpec:
    """Return the spec with its axes in one of `LAYOUTS`, or as it is.

    >>> in_layout(ConvSpec.from_text("conv2d n1 h8 w8 ic3 oc4 kh3 kw3"), "ncw").input_shape
    (1, 3, 8, 8)
    """
    return spec if layout is None else spec.replace(layout=LAYOUTS[layout][spec.rank - 1])


def _read(file_name: str) -> str:
    return resources.files("faltung.bench").joinpath("suites", file_name).read_text(encoding="utf-8")
