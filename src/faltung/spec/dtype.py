"""The element types that faltung computes with, and what to do about the others."""

from faltung.errors import DtypeError

ITEM_BYTES = {"float32": 4, "float64": 8}
"""The size of one element."""
COMPUTED = tuple(ITEM_BYTES)
"""Their names."""


def check_dtype(what: str, dtype: object) -> str:
    """Return ``dtype`` when it is the name of a type that faltung computes with."""
    if isinstance(dtype, str) and dtype in ITEM_BYTES:
        return dtype
    raise DtypeError(f"{what} must be float32 or float64; got {dtype}. {_remedy(what, str(dtype))}")


def _remedy(what: str, dtype: str) -> str:
    if dtype == "object":
        return f"The rows of {what} probably differ in length: pad or cut them to one length."
    if dtype.startswith("complex"):
        return f"Convolve {what}.real and {what}.imag apart."
    if dtype.startswith(("<U", ">U", "|S", "str", "datetime", "timedelta")):
        return f"Encode {what} as numbers first."
    return f'Convert: {what}.astype("float32").' if what != "dtype" else 'Use dtype="float32".'
