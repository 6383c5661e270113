"""The handler that XLA calls through its foreign-function interface: from a call frame to `serve`.

The structures are those of xla/ffi/api/c_api.h. A handler is loaded once for each result that XLA may ask for, and is
told its record by `bind`; it returns null, which means success, or an error of XLA's where there is no memory.
"""

from faltung.codegen.emitter import POINTER, Emitter, Value

API_MAJOR, API_MINOR = 0, 1
"""The version of the interface that the handler is written for: the first, whose structures have stayed as they are."""

# fields of XLA_FFI_CallFrame
EXTENSION, API, STAGE, INPUTS, RESULTS = 1, 2, 4, 9, 14
"""INPUTS and RESULTS hold the address of an array of addresses of XLA_FFI_Buffer."""
EXECUTE = 3
DATA = 3
"""The field of XLA_FFI_Buffer that holds the address of its numbers."""

# fields of XLA_FFI_Metadata_Extension and of the XLA_FFI_Metadata that it points to
EXTENSION_TYPE, METADATA = 1, 3
IS_METADATA = 1
VERSION, TRAITS = 3, 4


# the field of XLA_FFI_Api that holds the address of XLA_FFI_Error_Create, and the fields of what that is given
ERROR_CREATE = 6
ERROR_BYTES, MESSAGE, CODE = 0, 2, 3
RESOURCE_EXHAUSTED = 8
NO_MEMORY = (
    "faltung: found no memory for the workspace of a convolution. Let go of arrays, or raise the limit (ulimit -v)."
)


def emit_handler(e: Emitter, num_inputs: int) -> None:
    """handle(frame): tell the version if that is asked, else compute. bind(serve, record): say what to compute."""
    serve, record = e.own_pointer("serve"), e.own_pointer("record")
    with e.function("bind", "*serve", "*record") as arguments:
        for argument, place in zip(arguments, (serve, record), strict=True):
            e.store_scalar(argument, place)
    with e.function("handle", "*frame", returns_pointer=True) as (frame, error):
        fields = e.fields(frame)
        is_question = e.variable(0, "is_question")
        extension = fields.pointer_at(EXTENSION)
        with e.when(e.is_there(extension)), e.when(_is(e, e.fields(extension).field(EXTENSION_TYPE), IS_METADATA)):
            metadata = e.fields(e.fields(extension).pointer_at(METADATA))
            e.store_scalar(API_MAJOR + (API_MINOR << 32), metadata.at(i=VERSION))
            e.store_scalar(0, metadata.at(i=TRAITS))
            is_question.set(1)
        with e.when(e.compare(is_question.get(), "==", 0)), e.when(_is(e, fields.field(STAGE), EXECUTE)):
            inputs, results = e.fields(fields.pointer_at(INPUTS)), e.fields(fields.pointer_at(RESULTS))
            arrays = [_data(e, inputs.pointer_at(n)) for n in range(num_inputs)]
            bias = arrays[2] if num_inputs == 3 else e.null()
            y = _data(e, results.pointer_at(0))
            missing = e.integers(1, "missing").at(i=0)
            e.store_scalar(0, missing)
            e.call_stored(serve, e.load_pointer(record), *arrays[:2], bias, y, missing)
            with e.when(e.compare(e.load_i64(missing), "!=", 0)):
                error.set(_no_memory(e, e.fields(fields.pointer_at(API)).at(i=ERROR_CREATE)))


def _no_memory(e: Emitter, create: Value) -> Value:
    """The error that XLA makes of our words."""
    told = e.integers(4, "told")
    for field, value in {ERROR_BYTES: 32, MESSAGE - 1: 0, CODE: RESOURCE_EXHAUSTED}.items():
        e.store_scalar(value, told.at(i=field))
    e.store_scalar(e.text(NO_MEMORY, "no_memory"), told.at(i=MESSAGE))
    return e.call_stored(create, told.at(i=ERROR_BYTES), returns=POINTER)


def _is(e: Emitter, field: Value, number: int) -> Value:
    """The lower half of a field, a C enumeration, is this number."""
    _, kind = e.halves(field)
    return e.compare(kind, "==", number)


def _data(e: Emitter, buffer: Value) -> Value:
    return e.fields(buffer).pointer_at(DATA)
