"""A list of jobs without Python: `run_jobs(places, record, …, pool)` computes one part of a network.

A record says what each job reads and writes as places and offsets; a call brings the places: addresses of its inputs
and outputs, of its arena and scratch, and of constants. All state of a call stands in its places, so that calls on
several threads share a record.
"""

from faltung.codegen.call import FIELDS
from faltung.codegen.emitter import Emitter

# fields of a record
NUM_JOBS, KEEPS_DENORMALS, JOBS = range(3)
"""From JOBS on: the jobs, one behind the other."""

OPERANDS = ("x", "kernel", "bias", "y", "workspace", "extra")
"""What a job's call points to besides its parameters: for each a place and an offset in bytes, in this order."""

# fields of a job
PARAMETERS = 2 * len(OPERANDS)
SCRATCH_BYTES, STAGES = PARAMETERS + 1, PARAMETERS + 2
JOB_FIELDS = STAGES + 4
"""From STAGES on: function and number of tasks of both stages."""

# places of a call
NOTHING, SCRATCH, FIRST_INPUT, FIRST_OUTPUT = range(4)
"""The first input and the first output stand at known places, for calls that bring them as Python objects."""


def emit_run_jobs(e: Emitter, array_data_offset: int) -> None:
    """run_jobs(places, record, -, -, -, -, pool), with as many arguments as a launch, so that a team can run it too.

    run_jobs_on(x, y, places, record, pool): the first input and the first output are Python's arrays.
    """
    unused = ("a", "b", "c", "d")
    with e.function("run_jobs", "*places", "*record", *(f"*{name}" for name in unused), "*pool") as arguments:
        places, fields, pool = e.fields(arguments[0]), e.fields(arguments[1]), arguments[-1]
        call = e.pointers(len(FIELDS), "call")
        control = e.float_control()
        keeps_denormals = e.compare(fields.field(KEEPS_DENORMALS), "!=", 0)
        e.set_float_control(e.choose(keeps_denormals, control, e.without_denormals(control)))
        scratch = places.pointer_at(SCRATCH)
        with e.loop("job", fields.field(NUM_JOBS)) as number:
            job = e.fields(fields.at(i=e.add(e.mul(number, JOB_FIELDS), JOBS)))
            for n, name in enumerate(OPERANDS):
                base = places.pointer_at(job.field(2 * n))
                e.store_scalar(e.byte_buffer(base).at(i=job.field(2 * n + 1)), call.at(i=FIELDS.index(name)))
            e.store_scalar(job.pointer_at(PARAMETERS), call.at(i=FIELDS.index("parameters")))
            for stage in (STAGES, STAGES + 2):
                tasks = job.field(stage + 1)
                e.call("run_stage", job.at(i=stage), tasks, call.pointer, scratch, job.field(SCRATCH_BYTES), pool)
        e.set_float_control(control)
    with e.function("run_jobs_on", "*x", "*y", "*places", "*record", "*pool") as (x, y, place, record, pool):
        for array, n in ((x, FIRST_INPUT), (y, FIRST_OUTPUT)):
            data = e.load_pointer(e.byte_buffer(array).at(i=array_data_offset))
            e.store_scalar(data, e.fields(place).at(i=n))
        e.call("run_jobs", place, record, *(e.null() for _ in unused), pool)
