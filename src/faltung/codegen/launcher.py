"""Running the tasks of a call on several threads: code of our own, no lock of Python's on the way.

A call is up to two stages (pack, then compute), each a number of tasks. Each thread has a share of neighbouring
tasks, the same in every call, so that what it wrote last time is still in its cache; done with its own, it helps the
others. A share is one 64-bit field: its end (upper half) and its next task (lower half). Whoever swaps in the field
with the next number plus one has claimed that task. A claim can only succeed while tasks are left, and the caller
returns only when all tasks are done: so a worker never sees a finished call, and the caller never waits for a worker
that has claimed nothing. Which task yields which output is fixed by the plan, so bits do not depend on the threads.

A second caller that finds the pool taken runs its tasks itself.

Denormal numbers count as zeros while tasks run, unless the job keeps them: some processors take a hundred times as
long over them. Workers compute as their caller does, and every thread is left as it was found.

Workers are threads of our own, or those of a host such as PyTorch, which lends them for the length of a call (`team`).
"""

from faltung.codegen.call import FIELDS
from faltung.codegen.emitter import Emitter, Value
from faltung.codegen.jobs import emit_run_jobs
from faltung.codegen.service import emit_serve

# fields of the pool; what different threads write lies in different cache lines
DONE, OWNER, SLEEPERS = 0, 8, 16
FUNCTION, CALL, SCRATCH, SCRATCH_BYTES, IS_CLOSING, SPINS, NUM_THREADS, FLOAT_CONTROL = range(24, 32)
MUTEX, CONDITION = 32, 48
SHARES, SHARE_FIELDS = 64, 8
"""The shares of the threads, each in a cache line of its own; they end the pool."""


def pool_fields(num_threads: int) -> int:
    """The size of a pool."""
    return SHARES + SHARE_FIELDS * num_threads


# fields of a job, the part of a call that its plan fixes
JOB_PARAMETERS, JOB_SCRATCH_OFFSET, JOB_SCRATCH_BYTES, JOB_KEEPS_DENORMALS, JOB_STAGES = range(5)
"""From JOB_STAGES on: function and number of tasks, for packing and then for the kernel."""
JOB_FIELDS = 8


# fields of a call by a team; what different threads write lies in different cache lines
ARRIVED, FINISHED, TEAM_FUNCTION, TEAM_ARGUMENTS, TEAM_FIELDS = 0, 8, 16, 17, 24


def emit_launcher(e: Emitter, array_data_offset: int) -> None:
    """launch: arrays as Python objects. launch_pointers: arrays as addresses. serve: see service.py.

    run_jobs, run_jobs_on: see jobs.py. worker, team: a thread's life.

    wake: rouse sleeping workers. spin: wait for `count` pauses. drop_denormals, restore_denormals: for this thread; the
    place keeps how it was.
    """
    _emit_drain(e)
    _emit_run_phase(e)
    _emit_launch_pointers(e)
    objects = ("*x", "*kernel", "*bias", "*y")
    with e.function("launch", *objects, "*workspace", "*job", "*pool") as (*arrays, workspace, job, pool):
        # an ndarray keeps the address of its data right behind the object's head
        data = [e.load_pointer(e.byte_buffer(array).at(i=array_data_offset)) for array in arrays]
        e.call("launch_pointers", *data, workspace, job, pool)
    emit_serve(e, NUM_THREADS)
    emit_run_jobs(e, array_data_offset)
    _emit_worker(e)
    _emit_team(e)
    with e.function("wake", "*pool") as (pool,):
        _wake(e, pool)
    with e.function("drop_denormals", "*place") as (place,):
        e.store_scalar(e.float_control(), e.fields(place).at(i=0))
        e.set_float_control(e.without_denormals(e.fields(place).field(0)))
    with e.function("restore_denormals", "*place") as (place,):
        e.set_float_control(e.fields(place).field(0))
    with e.function("spin", "count") as (count,), e.loop("wait", count):
        e.pause()


def _emit_launch_pointers(e: Emitter) -> None:
    arrays = ("*x", "*kernel", "*bias", "*y")
    with e.function("launch_pointers", *arrays, "*workspace", "*job", "*pool") as (*arguments, job, pool):
        job_fields, call = e.fields(job), e.pointers(len(FIELDS), "call")
        for n, pointer in enumerate([*arguments, job_fields.pointer_at(JOB_PARAMETERS), e.null()]):
            e.store_scalar(pointer, call.at(i=n))
        scratch = e.byte_buffer(arguments[-1]).at(i=job_fields.field(JOB_SCRATCH_OFFSET))
        scratch_bytes = job_fields.field(JOB_SCRATCH_BYTES)
        control = e.float_control()
        keeps_denormals = e.compare(job_fields.field(JOB_KEEPS_DENORMALS), "!=", 0)
        e.set_float_control(e.choose(keeps_denormals, control, e.without_denormals(control)))
        for stage in (JOB_STAGES, JOB_STAGES + 2):
            tasks = job_fields.field(stage + 1)
            e.call("run_stage", job_fields.at(i=stage), tasks, call.pointer, scratch, scratch_bytes, pool)
        e.set_float_control(control)


def _emit_run_phase(e: Emitter) -> None:
    """run_stage(function, tasks, call, scratch, scratch_bytes, pool): all tasks, helped by the pool if it is free."""
    parameters = ("*function", "tasks", "*call", "*scratch", "scratch_bytes", "*pool")
    with e.function("run_stage", *parameters, internal=True) as (function, tasks, call, scratch, scratch_bytes, pool):
        is_alone = e.variable(1, "is_alone")
        with e.when(e.compare(tasks, ">", 1)), e.when(e.is_there(pool)):
            fields = e.fields(pool)
            with e.when(e.replace_if_equal(fields.at(i=OWNER), 0, 1)):
                is_alone.set(0)
                e.store_scalar(e.load_pointer(function), fields.at(i=FUNCTION))
                e.store_scalar(call, fields.at(i=CALL))
                e.store_scalar(scratch, fields.at(i=SCRATCH))
                e.store_scalar(scratch_bytes, fields.at(i=SCRATCH_BYTES))
                e.store_scalar(e.float_control(), fields.at(i=FLOAT_CONTROL))
                e.exchange(fields.at(i=DONE), 0)
                _share_out(e, pool, tasks)
                with e.when(e.compare(e.load_shared(fields.at(i=SLEEPERS)), ">", 0)):
                    _wake(e, pool)
                e.call("drain", pool, 0)
                with e.loop_while("others_finish") as waiting:
                    waiting.leave_if(e.compare(e.load_shared(fields.at(i=DONE)), "==", tasks))
                    e.pause()
                e.exchange(fields.at(i=OWNER), 0)
        with e.when(e.compare(is_alone.get(), "==", 1)), e.loop("index", tasks) as index:
            e.call_stored(function, call, index, scratch)


def _share_out(e: Emitter, pool: Value, tasks: Value) -> None:
    """Give thread t the tasks from t * tasks / threads on."""
    fields = e.fields(pool)
    threads = fields.field(NUM_THREADS)
    with e.loop("share", threads) as t:
        first, _ = e.divide(e.mul(t, tasks), threads)
        end, _ = e.divide(e.mul(e.add(t, 1), tasks), threads)
        e.exchange(fields.at(i=e.add(SHARES, e.mul(t, SHARE_FIELDS))), e.add(e.mul(end, 2**32), first))


def _emit_drain(e: Emitter) -> None:
    """drain(pool, slot): claim and run tasks until none is left, own ones first; `slot` says whose scratch to use."""
    with e.function("drain", "*pool", "slot", internal=True) as (pool, slot):
        fields = e.fields(pool)
        threads, control = fields.field(NUM_THREADS), e.float_control()
        with e.loop("turn", threads) as turn:
            _, owner = e.divide(e.add(slot, turn), threads)
            share = fields.at(i=e.add(SHARES, e.mul(owner, SHARE_FIELDS)))
            with e.loop_while("claim") as claims:
                field = e.load_shared(share)
                end, index = e.halves(field)
                claims.leave_if(e.compare(index, ">=", end))
                with e.when(e.replace_if_equal(share, field, e.add(field, 1))):
                    e.set_float_control(fields.field(FLOAT_CONTROL))
                    scratch = e.byte_buffer(fields.pointer_at(SCRATCH)).at(i=e.mul(slot, fields.field(SCRATCH_BYTES)))
                    e.call_stored(fields.at(i=FUNCTION), fields.pointer_at(CALL), index, scratch)
                    e.set_float_control(control)
                    e.add_shared(fields.at(i=DONE), 1)


def _emit_worker(e: Emitter) -> None:
    """worker(argument): argument holds the pool's address and this thread's slot. Spins a while, then sleeps."""
    with e.function("worker", "*argument") as (argument,):
        own = e.fields(argument)
        pool, slot = own.pointer_at(0, "pool"), own.field(1, "slot")
        fields = e.fields(pool)
        idle = e.variable(0, "idle")
        with e.loop_while("life") as life:
            life.leave_if(e.compare(e.load_shared(fields.at(i=IS_CLOSING)), "!=", 0))
            with e.either(_is_work_left(e, pool)) as (work, wait):
                with work:
                    e.call("drain", pool, slot)
                    idle.set(0)
                with wait:
                    e.pause()
                    idle.increase(1)
                    with e.when(e.compare(idle.get(), ">", fields.field(SPINS))):
                        _sleep(e, pool)
                        idle.set(0)


def _emit_team(e: Emitter) -> None:
    """team(call): run by every thread of a host's team at once. The first to come launches, the others help it."""
    with e.function("team", "*call") as (call,):
        fields = e.fields(call)
        slot = e.add_shared(fields.at(i=ARRIVED), 1)
        arguments = [fields.pointer_at(TEAM_ARGUMENTS + n) for n in range(7)]  # those of launch; the pool is the last
        with e.either(e.compare(slot, "==", 0)) as (leads, helps):
            with leads:
                e.call_stored(fields.at(i=TEAM_FUNCTION), *arguments)
                e.exchange(fields.at(i=FINISHED), 1)
            with helps, e.loop_while("help") as helping:
                helping.leave_if(e.compare(e.load_shared(fields.at(i=FINISHED)), "!=", 0))
                with e.either(_is_work_left(e, arguments[-1])) as (work, wait):
                    with work:
                        e.call("drain", arguments[-1], slot)
                    with wait:
                        e.pause()


def _is_work_left(e: Emitter, pool: Value) -> Value:
    fields = e.fields(pool)
    is_left = e.variable(0, "is_left")
    with e.loop("share", fields.field(NUM_THREADS)) as t:
        end, index = e.halves(e.load_shared(fields.at(i=e.add(SHARES, e.mul(t, SHARE_FIELDS)))))
        with e.when(e.compare(index, "<", end)):
            is_left.set(1)
    return e.compare(is_left.get(), "==", 1)


def _sleep(e: Emitter, pool: Value) -> None:
    """Wait for a wake-up.

    The sleeper counts itself before it looks for work, the caller publishes work before it looks for sleepers: one of
    the two sees the other.
    """
    fields = e.fields(pool)
    mutex, condition = fields.at(i=MUTEX), fields.at(i=CONDITION)
    e.call_external("pthread_mutex_lock", [mutex])
    e.add_shared(fields.at(i=SLEEPERS), 1)
    with e.loop_while("sleep") as sleep:
        sleep.leave_if(_is_work_left(e, pool))
        sleep.leave_if(e.compare(e.load_shared(fields.at(i=IS_CLOSING)), "!=", 0))
        e.call_external("pthread_cond_wait", [condition, mutex])
    e.add_shared(fields.at(i=SLEEPERS), -1)
    e.call_external("pthread_mutex_unlock", [mutex])


def _wake(e: Emitter, pool: Value) -> None:
    fields = e.fields(pool)
    mutex = fields.at(i=MUTEX)
    e.call_external("pthread_mutex_lock", [mutex])
    e.call_external("pthread_cond_broadcast", [fields.at(i=CONDITION)])
    e.call_external("pthread_mutex_unlock", [mutex])
