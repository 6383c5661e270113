"""Faults of the numbers, not of the shape: element type, device, sparse, ragged and text data."""

from faltung.diagnosis import costs
from faltung.diagnosis.findings import Fault, Fix
from faltung.diagnosis.resize import Cast
from faltung.models.data import Data
from faltung.models.layer import Shape
from faltung.models.program import ShapeProgram

FLOATS = ("float16", "bfloat16", "float32", "float64")


def number_faults(program: ShapeProgram, data: Data) -> tuple[list[Fault], Data]:
    """Return the faults of the numbers, and the data as it will be when they are mended."""
    faults: list[Fault] = []
    if data.dtype is None or data.is_declared:
        return faults, data
    where = next((layer.label for layer in program.layers if layer.kind != "input"), program.name)
    if data.trouble == "text":
        cause = f"x holds {data.dtype}, and a convolution multiplies numbers: encode it first, one-hot or as indices."
        return [Fault(where, "not numbers", cause, data.shape, (), (), "dtype")], data
    if data.trouble:
        fault, data = _out_of_container(where, data)
        faults.append(fault)
    is_indices = bool(program.layers) and _first_kind(program) == "embedding"
    wanted = program.dtype or ("float32" if program.host == "keras" else None)
    if wanted and not is_indices and _refuses(program, str(data.dtype), wanted):
        cast = Cast(wanted)
        cause = f"x is {data.dtype}, the weights are {wanted}: both must be of one type."
        fixes = [_fix(cast.code(data.host), data.shape, cast, cause, costs.CAST_DATA, "dtype")]
        if program.host == "torch" and data.dtype in FLOATS:
            words = {"float64": "double", "float16": "half", "bfloat16": "bfloat16", "float32": "float"}
            code = f"model.{words[str(data.dtype)]}()"
            fixes.append(
                Fix(
                    code,
                    "layer",
                    "the weights take the type of the data",
                    "dtype",
                    data.shape,
                    None,
                    costs.CAST_WEIGHTS,
                    where,
                )
            )
        faults.append(Fault(where, "dtype", cause, data.shape, (), tuple(fixes), "dtype"))
    if program.host == "torch" and data.host == "torch" and program.device and program.device != data.device:
        cause = f"x lies on {data.device}, the weights on {program.device}: both must be on one device."
        code = f'x = x.to("{program.device}")'
        fix = Fix(code, "data", cause, "device", data.shape, None, costs.MOVE_DATA, "x", (_Move(program.device),))
        back = Fix(f'model.to("{data.device}")', "layer", cause, "device", data.shape, None, costs.MOVE_WEIGHTS, where)
        faults.append(Fault(where, "device", cause, data.shape, (), (fix, back), "device"))
    return faults, data


def _first_kind(program: ShapeProgram) -> str:
    return next((layer.kind for layer in program.layers if layer.kind != "input"), "")


def _refuses(program: ShapeProgram, dtype: str, wanted: str) -> bool:
    """Whether the host refuses data of this type: PyTorch any other, Keras and JAX what is no floating-point number."""
    if program.host == "keras":
        return dtype not in FLOATS and _first_kind(program) in ("conv", "conv_transpose")
    if program.host in ("torch", "onnx", "jax", "faltung", "tensorflow"):
        return dtype != wanted
    return False


def _out_of_container(where: str, data: Data) -> tuple[Fault, Data]:
    words = {
        "sparse": "x is a sparse matrix, and a convolution reads arrays: make it dense.",
        "ragged": f"x holds {len(data.array)} objects instead of numbers: the rows differ in length.",
        "complex": f"x is {data.dtype}: convolve the real and the imaginary part apart, or as two channels.",
    }
    cast = Cast("float32", data.trouble)
    shape, fixes = data.shape, []
    if data.trouble == "ragged" and not all(hasattr(row, "__len__") and len(row) for row in data.array):
        words["ragged"] = "x holds objects, not numbers: look at what the rows are."
    else:
        if data.trouble == "ragged":
            longest = max(len(row) for row in data.array)
            first = data.array[0]
            shape = (len(data.array), longest, *getattr(first, "shape", (longest,))[1:])
        fixes = [_fix(cast.code(data.host), shape, cast, words[data.trouble], costs.UNPACKED, data.trouble)]
    fault = Fault(where, data.trouble, words[data.trouble], data.shape, (), tuple(fixes), "dtype")
    plain = Data(shape, "float32" if data.trouble in ("ragged", "complex") else data.dtype, data.host, data.device)
    return fault, plain


def _fix(code: str, shape: Shape, cast: Cast, sentence: str, confidence: float, kind: str) -> Fix:
    return Fix(code, "data", sentence, kind, shape, None, confidence, "x", (cast.apply,))


class _Move:
    """To another device."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, array: object) -> object:
        return array.to(self.device)  # type: ignore[attr-defined]
