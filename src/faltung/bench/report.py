"""What a run of the benchmark says: a table for people, a dictionary for JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from faltung.bench.machine import Machine
from faltung.bench.run import Measurement


@dataclass(slots=True)
class Report:
    """The cases of one run on one machine, by name: what was measured, and what was refused for which reason."""

    machine: Machine
    measured: dict[str, Measurement] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """The names of the cases whose numbers did not agree with the reference."""
        return [name for name, measurement in self.measured.items() if not measurement.checked]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python, ready for JSON."""
        measured = {name: asdict(m) | {"spec": m.spec.to_text()} for name, m in self.measured.items()}
        return {"machine": asdict(self.machine), "measured": measured, "refused": self.refused}

    def table(self) -> Table:
        """Return the measured cases as a table; a text that is its own name is not said twice."""
        machine = self.machine
        table = Table(
            title=f"{machine.processor}, {machine.threads} threads, "
            f"{machine.peak_gflops_f32:,.0f} GFLOP/s float32, {machine.read_gbps:.0f} GB/s",
            title_justify="left",
        )
        for heading in ("case", "spec", "algorithm"):
            table.add_column(heading, overflow="fold")
        for heading in ("µs", "GFLOP/s", "of bound", "bound", "compile ms", "load ms", "call µs"):
            table.add_column(heading, justify="right")
        for name, m in self.measured.items():
            table.add_row(
                "" if " " in name else name,
                m.spec.to_text(),
                m.algorithm if m.checked else f"{m.algorithm} WRONG",
                f"{m.microseconds:,.1f}",
                f"{m.gflops:,.1f}",
                f"{m.share_of_roofline:.0%}",
                m.bound,
                f"{m.compile_ms:.1f}",
                f"{m.cached_load_ms:.2f}",
                f"{m.call_overhead_us:.1f}",
            )
        return table
