"""The suites: named spec texts in data files, shared by tests and benchmarks."""

from importlib import resources

from faltung.spec import read_cases

SUITES = ("core", "complaints", "networks")
_COMPLAINTS = "# --- complaints"  # the line of cases.txt that parts its two suites


def load(suite: str) -> dict[str, str]:
    """Return the spec texts of one of `SUITES` by name, in the order of its file.

    >>> load("core")["seed_ts"]
    'conv1d n1 w20 ic3 oc16 kw3'
    """
    if suite == "networks":
        return read_cases(_read("networks.txt"))
    core, mark, complaints = _read("cases.txt").partition(_COMPLAINTS)
    return read_cases(core if suite == "core" else mark + complaints)


def _read(file_name: str) -> str:
    return resources.files("faltung.bench").joinpath("suites", file_name).read_text(encoding="utf-8")
