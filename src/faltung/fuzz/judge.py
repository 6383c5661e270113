"""What a call may do: give the reference's numbers, or raise one clear error of ours; all else is a complaint."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import faltung
from faltung.errors import CodegenError, FaltungError
from faltung.fuzz.case import Case, Numbers
from faltung.fuzz.expected import expected

__all__ = ["Case", "Numbers", "judge"]

LONGEST_MESSAGE = 700
FUNCTIONS: dict[str, Callable[..., Any]] = {name: getattr(faltung, name) for name in faltung.__all__ if "conv" in name}
FUNCTIONS |= {name: getattr(faltung, name) for name in ("input_gradient", "kernel_gradient")}


def judge(case: Case) -> str | None:
    """Return what is wrong with what the call does; None where nothing is."""
    given = case.values()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = FUNCTIONS[case.function](**given)
    except CodegenError as error:
        return f"a bug of ours: {error}"[:LONGEST_MESSAGE]
    except FaltungError as error:
        return _of_message(case, str(error))
    except Exception as error:
        return f"a foreign error, {type(error).__name__}: {error}"[:LONGEST_MESSAGE]
    return _of_result(case.function, given, result)


def _of_message(case: Case, message: str) -> str | None:
    if len(message) > LONGEST_MESSAGE:
        return f"a message of {len(message)} characters: {message[:200]}…"
    if "\n" in message:
        return f"a message of several lines: {message}"
    return None if message.startswith(f"{case.function}: ") else f"a message without the function's name: {message}"


def _of_result(function: str, given: dict[str, Any], result: Any) -> str | None:
    results = result if isinstance(result, tuple) else (result,)
    rights: tuple[Any, ...] = expected(function, given)
    for got, right in zip(results, rights, strict=True):
        if right is None and got is None:
            continue
        if right is None or got is None or got.shape != right.shape:
            return f"shape {getattr(got, 'shape', None)} where the reference has {getattr(right, 'shape', None)}"
        tolerance = (1e-4 if got.dtype == np.float32 else 1e-10) * (1 + np.abs(right).max(initial=0))
        wrong = ~np.isclose(got, right, rtol=0, atol=tolerance, equal_nan=True)
        if wrong.any():
            at = tuple(int(index) for index in np.argwhere(wrong)[0])
            return f"{np.count_nonzero(wrong)} wrong numbers: {got[at]} at {at} where the reference has {right[at]}"
    return None
