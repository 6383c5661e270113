"""Made-up comparisons for the tests of what is said about them."""

from dataclasses import replace
from typing import Any

from faltung.bench.machine import Machine
from faltung.bench.result import MEASURED, Case, Comparison, Participant, Result
from faltung.spec import ConvSpec

MACHINE = Machine(
    processor="Test processor",
    target="test-target",
    vector_bits=512,
    threads=2,
    peak_gflops_f32=500.0,
    peak_gflops_f64=250.0,
    read_gbps=30.0,
    write_gbps=20.0,
    copy_gbps=25.0,
    processor_share=1.0,
)


def measured(microseconds: float, **changes: Any) -> Result:
    """Return a result of three rounds."""
    return replace(Result(MEASURED, rounds=[1e-6 * microseconds * part for part in (0.9, 1.0, 1.1)]), **changes)


def case(text: str, **microseconds: float | Result) -> Case:
    """Return a case whose bound is 10 µs; "_" in a peer's name stands for "-"."""
    results = {
        name.replace("_", "-"): value if isinstance(value, Result) else measured(value)
        for name, value in microseconds.items()
    }
    spec = ConvSpec.from_text(text)
    return Case(spec.to_text(), spec.flops, spec.bytes_moved, [9e-6, 10e-6, 11e-6], [1e-6] * 3, 1.0, results)


def comparison(**cases: Case) -> Comparison:
    """Return a run with these cases; "torch" holds data channels first, "jax" last, "openvino" is not there."""
    return Comparison(
        command="faltung bench --suite core --peers all",
        date="2030-01-01",
        commit="abc",
        versions={"numpy": "2.0"},
        mode="forward",
        layout=None,
        threads=2,
        machine=MACHINE,
        participants={
            "faltung": Participant("ours", "nwc"),
            "faltung-ncw": Participant("ours", "ncw"),
            "torch": Participant("`nn.Conv1d`", "ncw"),
            "jax": Participant("`jax.jit`", "nwc"),
            "openvino": Participant(missing="not installed: No module named 'openvino'"),
        },
        cases=cases,
        refused={"istft": "a transposed convolution has no spec"},
    )


TEXT = "conv1d n2 w100 ic3 oc8 kw5"


def example() -> Comparison:
    """Return a run in which we are quicker once, slower once, and wrong once; and a peer fails."""
    return comparison(
        quick=case(TEXT, faltung=20, faltung_ncw=25, torch=50, jax=30),
        longk=case(TEXT, faltung=200, faltung_ncw=250, torch=100, jax=Result("failed", "ValueError: <no>|strides")),
        broken=case(TEXT, faltung=Result("wrong", "y: 3 of 9"), faltung_ncw=200, torch=280, jax=150),
    )
