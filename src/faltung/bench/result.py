"""What a comparison finds: for each case and peer the times, or why there are none; and the same as JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import inf, prod
from pathlib import Path
from statistics import median
from typing import Any

from faltung.bench.case import read_case
from faltung.bench.machine import Machine
from faltung.bench.peers import OURS
from faltung.errors import FaltungError

FORMAT = 1
MEASURED = "measured"


@dataclass(slots=True)
class Result:
    """One peer on one case. Where there are no times, `status` and `reason` say why.

    `rounds` holds the median call of each round in seconds, `spread` the distance between the quartiles of all calls
    over their median. `error` is the largest error over the bound of direct summation, `compared` the number of outputs
    looked at. `page_faults` are those of one warm call. `memory_bytes` is what the first call added to resident memory
    at its peak, when the library and the inputs were there; `peak_bytes` is the whole.
    """

    status: str
    reason: str = ""
    rounds: list[float] = field(default_factory=list)
    spread: float = 0.0
    prepare_seconds: float = 0.0
    first_seconds: float = 0.0
    cold_seconds: float = 0.0
    page_faults: float = 0.0
    memory_bytes: int = 0
    peak_bytes: int = 0
    error: float = 0.0
    compared: int = 0

    @property
    def is_measured(self) -> bool:
        """Whether there are times."""
        return self.status == MEASURED

    @property
    def microseconds(self) -> float:
        """The median warm call."""
        return 1e6 * median(self.rounds)


@dataclass(slots=True)
class Case:
    """One convolution on all peers, and in each round the seconds that the machine needs at least.

    `peak_rounds` are for `flops` at peak arithmetic, `stream_rounds` for `num_bytes` from memory as warm as the call's.
    `processor_share` is the part of the time that the machine was ours: below 1, others used it.
    """

    spec: str
    flops: int
    num_bytes: int
    peak_rounds: list[float]
    stream_rounds: list[float]
    processor_share: float
    results: dict[str, Result]

    @property
    def bound_rounds(self) -> list[float]:
        """The longer of the two in each round: the roofline."""
        return [max(pair) for pair in zip(self.peak_rounds, self.stream_rounds, strict=True)]

    @property
    def bound(self) -> str:
        """What limits the case on this machine."""
        return "arithmetic" if median(self.peak_rounds) > median(self.stream_rounds) else "memory"

    @property
    def measured(self) -> list[str]:
        """The peers that have times."""
        return [peer for peer, result in self.results.items() if result.is_measured]

    @property
    def num_outputs(self) -> int:
        """How many numbers the convolution makes."""
        return prod(read_case(self.spec).result_shape)

    def ratio(self, slower: str, quicker: str) -> float:
        """Return how many times as long one peer takes as another: the median of the rounds' ratios."""
        return _ratio(self.results[slower].rounds, self.results[quicker].rounds)

    def share_of_bound(self, peer: str) -> float:
        """Return the time of the bound over the time of the peer, the median of the rounds."""
        return _ratio(self.bound_rounds, self.results[peer].rounds)

    def gflops(self, peer: str) -> float:
        """Return the rate in terms of direct summation, whatever the peer does."""
        return self.flops / self.results[peer].microseconds / 1e3


@dataclass(slots=True)
class Participant:
    """A peer as it took part: what it is and the layout of its data, or why it could not start."""

    description: str = ""
    layout: str = ""
    missing: str = ""


@dataclass(slots=True)
class Comparison:
    """One run: the machine, the participants, the cases by name, and the cases that have no times, with the reason."""

    command: str
    date: str
    commit: str
    versions: dict[str, str]
    mode: str
    layout: str | None
    threads: int
    machine: Machine
    participants: dict[str, Participant]
    cases: dict[str, Case] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def counterpart(self, peer: str) -> str | None:
        """Return the faltung that computes on data in the same layout as the peer."""
        layouts = {name: participant.layout for name, participant in self.participants.items()}
        return next((name for name in OURS if layouts.get(name) == layouts[peer]), None)

    def ratio(self, name: str, peer: str) -> float | None:
        """Return the time of a peer over that of faltung on the same case in the same layout, if both have one."""
        case, ours = self.cases[name], self.counterpart(peer)
        if peer in OURS or ours not in case.measured or peer not in case.measured:
            return None
        return case.ratio(peer, ours)

    def ratios(self, name: str) -> dict[str, float]:
        """Return the ratios of all peers that have one."""
        ratios = {peer: self.ratio(name, peer) for peer in self.participants}
        return {peer: ratio for peer, ratio in ratios.items() if ratio is not None}

    def worst_first(self) -> list[str]:
        """Return the names of the cases: those without times of ours first, then by the least ratio to any peer."""

        def key(name: str) -> float:
            is_ours_missing = not any(ours in self.cases[name].measured for ours in OURS)
            return -1.0 if is_ours_missing else min(self.ratios(name).values(), default=inf)

        return sorted(self.cases, key=key)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        write_json(path, FORMAT, self)

    @classmethod
    def read(cls, path: Path) -> "Comparison":
        """Return what `write` wrote."""
        with read_json(path, FORMAT, "a file of old results must come from faltung bench --peers … --json") as values:
            for case in values["cases"].values():
                case["results"] = {peer: Result(**result) for peer, result in case["results"].items()}
            values["cases"] = {name: Case(**case) for name, case in values["cases"].items()}
            return cls(**values)


def write_json(path: Path, form: int | str, found: Any) -> None:
    """Write a dataclass as JSON, with the format that tells what it is."""
    path.write_text(json.dumps({"format": form} | asdict(found), indent=1) + "\n", encoding="utf-8")


@contextmanager
def read_json(path: Path, form: int | str, rule: str) -> Iterator[dict[str, Any]]:
    """Give what `write_json` wrote, machine and participants as they were; what does not fit breaks the rule."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format", None) != form:
            raise KeyError("format")
        values["machine"] = Machine(**values["machine"])
        values["participants"] = {name: Participant(**value) for name, value in values["participants"].items()}
        yield values
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        got = f"{path.name}, which does not ({type(error).__name__}: {error})"
        raise FaltungError(f"bench: {rule}; got {got}. Run it with --json.") from None


def _ratio(above: list[float], below: list[float]) -> float:
    """The median over the rounds that both took part in."""
    return median(a / b for a, b in zip(above, below, strict=False))
