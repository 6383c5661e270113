"""Every peer on every network, side by side in one run.

Each peer lives in a process of its own, and only one of them runs at a time. Within a case they take turns: everyone
gets a short burst of calls, then everyone another, so that a slow minute of the machine hits all. Before that, every
peer's result was compared with the host's float64; who is wrong is not timed.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faltung.bench.networks import NETWORKS
from faltung.bench.networks.network import Network
from faltung.bench.networks.peers import OURS, PEERS
from faltung.bench.networks.referee import Known
from faltung.bench.networks.result import Case, Result, Run
from faltung.bench.networks.wheels import folder_of
from faltung.bench.origin import commit, date
from faltung.bench.process import Trouble, Worker
from faltung.bench.result import MEASURED
from faltung.bench.side_by_side import introduce, processors_for
from faltung.errors import FaltungError

BATCHES = (1, 32)
ROUNDS = 7
MOST_SECONDS = 3.0
"""Of one call of each round: a peer so slow takes part in fewer rounds."""
ANSWER_SECONDS = 300.0
"""A peer that takes longer for one answer about a network is killed: torch.compile takes a minute for some."""

Tell = Callable[[str], None]


def choose(asked: str, table: Mapping[str, Any], what: str) -> list[str]:
    """Return the names that "all" or "lenet,fcn" asks for, in the order of the table.

    >>> choose("lenet, fcn", NETWORKS, "networks")
    ['fcn', 'lenet']
    """
    names = list(table) if asked == "all" else [name.strip() for name in asked.split(",") if name.strip()]
    unknown = [name for name in names if name not in table]
    if unknown or not names:
        raise FaltungError(
            f"bench: {what} are all, or some of {', '.join(table)}; got {', '.join(unknown or [asked])}."
        )
    return [name for name in table if name in names]


def choose_networks(asked: str) -> dict[str, Network]:
    """Return the networks that are asked for.

    Raises:
        FaltungError: for a name that is not in the table, or whose package is missing; where all are asked for, the run
            names those that are missing.
    """
    chosen = {name: NETWORKS[name] for name in choose(asked, NETWORKS, "networks")}
    for network in chosen.values() if asked != "all" else ():
        if network.package:
            folder_of(network.package)
    return chosen


def choose_peers(asked: str) -> dict[str, str]:
    """Return where the peers that are asked for are, ours first."""
    return {name: PEERS[name] for name in dict.fromkeys([*OURS, *choose(asked, PEERS, "peers of networks")])}


def compare(
    networks: Mapping[str, Network],
    peers: Mapping[str, str],
    *,
    batches: Sequence[int] = BATCHES,
    threads: int | None = None,
    seconds: float = 0.5,
    command: str = "",
    tell: Tell = lambda step: None,
) -> Run:
    """Run all networks on all peers.

    Arguments:
        networks: by name.
        peers: where the class of each peer is, by name: a part of PEERS.
        batches: how many records a call takes.
        threads: for every peer; default: one, then as many as processors we may run on.
        seconds: for timing each peer on each case; checks and compiling come on top.
        command: kept in the result.
        tell: hears the name of each case when its turn comes.
    """
    everything = processors_for(threads)
    counts = [threads] if threads is not None else sorted({1, len(everything)})
    with tempfile.TemporaryDirectory() as directory, closing(_referee(everything)) as referee:
        run = Run(command, date(), commit(), {}, referee.ask("machine"), {})
        known: dict[tuple[str, int], Known] = {}
        for name, network in networks.items():
            tell(f"{name}: what is right")
            try:
                for batch in batches:
                    stem = str(Path(directory) / f"{name}-{batch}")
                    known[name, batch] = referee.ask("prepare", network, batch, stem, seconds=ANSWER_SECONDS)
            except Trouble as trouble:
                run.refused[name] = f"{trouble.status}: {trouble.reason}"
        referee.close()  # its memory is for the others
        for count in counts:
            with _peers(peers, count) as workers:
                run.participants, versions = introduce(workers, layout=None)
                run.versions |= versions
                present = {name: worker for name, worker in workers.items() if not run.participants[name].missing}
                for (name, batch), facts in known.items():
                    if name not in run.refused:
                        case = Case(name, networks[name].host, batch, count, facts.macs, {})
                        tell(case.name)
                        hosted = {who: present[who] for who in present if case.host in run.participants[who].layout}
                        case.results = _Turns(networks[name], batch, facts, hosted, seconds).results()
                        run.cases.append(case)
    return run


def _referee(processors: list[int]) -> Worker:
    return Worker("faltung.bench.networks.referee:Referee", (len(processors),), processors)


@contextmanager
def _peers(places: Mapping[str, str], threads: int) -> Iterator[dict[str, Worker]]:
    """The workers of all peers, which end with the block."""
    station, processors = "faltung.bench.networks.station:Station", processors_for(threads)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(closing(Worker(station, (place, threads), processors)))
            for name, place in places.items()
        }


@dataclass
class _Turns:
    """One case: who takes part, and what is known so far."""

    network: Network
    batch: int
    known: Known
    workers: Mapping[str, Worker]
    seconds: float
    found: dict[str, Result] = field(default_factory=dict)

    def results(self) -> dict[str, Result]:
        """Prepare, check and time everyone, in an order that changes from round to round."""
        for peer in self.workers:
            self.found[peer] = Result(MEASURED)
            start = self._ask(peer, "prepare", self.network, self.batch, self.known)
            if start is not None:
                self.found[peer] = Result(
                    MEASURED,
                    prepare_seconds=start.prepare_seconds,
                    first_seconds=start.first_seconds,
                    memory_bytes=start.memory_bytes,
                    error=start.error,
                )
        names = list(self.workers)
        for number in range(ROUNDS):
            first = number % max(len(names), 1)
            for peer in names[first:] + names[:first]:
                if sum(self.found[peer].rounds) < MOST_SECONDS:
                    burst = self._ask(peer, "burst", self.seconds / ROUNDS)
                    if burst is not None:
                        self.found[peer].rounds.append(float(np.median(burst.calls)))
                        self.found[peer].processor_rounds.append(burst.processor_seconds)
        for peer in names:
            self._ask(peer, "finish")
        return self.found

    def _ask(self, peer: str, method: str, *arguments: Any) -> Any:
        """The answer, or None: then the peer is out of this case, with the reason in its result."""
        if not self.found[peer].is_measured:
            return None
        try:
            return self.workers[peer].ask(method, *arguments, seconds=ANSWER_SECONDS)
        except Trouble as trouble:
            self.found[peer] = Result(trouble.status, trouble.reason)
            return None
