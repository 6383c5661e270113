"""Runs fixes for real: the lines of code that a diagnosis proposes, in the user's framework, on arrays."""

import copy
import re
import sys
from functools import partial
from typing import Any

import numpy as np

import faltung as ft
from faltung.diagnosis import Diagnosis, Fix
from faltung.models.data import Data, as_data


def array(data: Any, host: str) -> Any:
    """Return the data as an array of the host: what a shape describes is zeros."""
    if not isinstance(data, tuple):
        return data
    zeros = np.zeros([1 if size is None else size for size in data], "f4")
    return sys.modules["torch"].from_numpy(zeros) if host == "torch" else zeros


def try_fixes(model: Any, data: Any, found: Diagnosis, host: str) -> int:
    """Apply every fix of every fault, after the best fixes of those before it, and run; return how many were tried."""
    tried, before = 0, []
    for fault in found.faults:
        for fix in fault.fixes:
            output = RUNNERS[host](model, data, [*before, fix])
            if fix.reaches and output is not None and fix is fault.fixes[0] and fault is found.faults[-1]:
                assert found.output_shape is None or len(output) == len(found.output_shape)
                assert all(a == b or b is None for a, b in zip(output, found.output_shape or (), strict=False)), (
                    fix.code
                )
            tried += 1
        before += fault.fixes[:1]
    return tried


def run_torch(model: Any, data: Any, fixes: list[Fix]) -> Any:
    """Run a PyTorch module or function with fixes; a fix that does not reach the end must get past its own layer."""
    torch = sys.modules["torch"]
    x = array(data() if callable(data) else data, "torch")
    names: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np, "x": x, "y": None}
    is_call = isinstance(model, partial) and not isinstance(model.func, type)
    if is_call:
        names["weight"] = model.keywords["weight"]
    elif isinstance(model, partial):
        names["layer"] = None
    else:
        names["model"] = names["layer"] = copy.deepcopy(model).eval()
    hooks = []
    for fix in fixes:
        for line in fix.code.split("; "):
            code, _, comment = line.partition("  # ")
            if comment.startswith("before"):
                place = re.search(r"\((.*)\)", comment)[1]
                hooks.append((place, code.partition(" = ")[2]))
            elif comment.startswith("in place of"):
                names["is_flat"] = True
            else:
                exec(line, names)
    for place, expression in hooks:
        eval(place, names).register_forward_pre_hook(lambda _, given, e=expression: (eval(e, names | {"x": given[0]}),))
    if is_call:
        done = names["y"] if names["y"] is not None else model(names["x"])
        return tuple(done.shape)
    ran = (
        names["model"]
        if "model" in names and not fixes[-1].code.startswith("layer =") and "; layer =" not in fixes[-1].code
        else names["layer"]
    )
    x = torch.as_tensor(names["x"])
    try:
        with flat_views(names.get("is_flat", False)):
            return tuple(ran(x).shape)
    except (RuntimeError, ValueError) as error:
        assert not fixes[-1].reaches, f"{fixes[-1].code} does not run: {error}"
        return None


def flat_views(is_on: bool) -> Any:
    """Let `view(-1, n)` of a model's own code flatten, as the fix tells its author to write."""
    torch = sys.modules["torch"]

    class Flat(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if is_on and getattr(function, "__name__", "") == "view":
                return args[0].flatten(1)
            return function(*args, **(kwargs or {}))

    return Flat()


def run_keras(model: Any, data: Any, fixes: list[Fix]) -> Any:
    """Make the layers anew, with the fixed ones in their places, and run them on symbols."""
    keras = sys.modules["keras"]
    names: dict[str, Any] = {"keras": keras, "np": np}
    data = data() if callable(data) else data
    names["x"] = data if not isinstance(data, tuple | type(None)) else None if data is None else array(data, "numpy")
    new: dict[str, Any] = {}
    for fix in fixes:
        for line in fix.code.split("; "):
            code = line.partition("  # ")[0]
            if "# before" in line:
                return None  # what lies between two layers is tried on shapes only
            if code.startswith("x ="):
                exec(code, names)
            else:
                made = eval(code.removeprefix("layer = "), names)
                new[
                    "Input" if code.startswith("keras.Input") else getattr(made, "name", "") if "name=" in code else ""
                ] = made
    if isinstance(model, partial) or (not isinstance(model, list) and not isinstance(model, keras.Model)):
        layer = new.get("") or type(model).from_config(model.get_config())
        try:
            return tuple(layer(keras.KerasTensor(np.shape(names["x"]))).shape)
        except ValueError:
            assert not fixes[-1].reaches, f"{fixes[-1].code} does not run"
            return None
    layers = (
        list(model) if isinstance(model, list) else list(model._layers) if isinstance(model, keras.Sequential) else None
    )
    if layers is None:
        return tuple(model(keras.KerasTensor(np.shape(names["x"]))).shape)
    x, start = None, 0
    first = layers[0]
    if type(first).__name__ in ("InputLayer", "KerasTensor"):
        declared = new.get("Input", first)
        sizes = tuple(getattr(declared, "batch_shape", None) or declared.shape)
        x = keras.KerasTensor(sizes) if names["x"] is None else keras.KerasTensor(np.shape(names["x"]))
        assert len(x.shape) == len(sizes) and all(
            None in (a, b) or a == b for a, b in zip(x.shape, sizes, strict=True)
        ), fixes[-1].code
        start = 1
    x = keras.KerasTensor(np.shape(names["x"])) if x is None else x
    try:
        for layer in layers[start:]:
            fresh = new.get(layer.name) or type(layer).from_config(layer.get_config())
            x = fresh(x)
    except ValueError:
        assert not fixes[-1].reaches, f"{fixes[-1].code} does not run"
        return None
    return tuple(x.shape)


def run_other(model: Any, data: Any, fixes: list[Fix]) -> Any:
    """Run a JAX call, a call of ours, a spec, or an ONNX Runtime session."""
    names: dict[str, Any] = {"np": np, "ft": ft, "jax": sys.modules.get("jax"), "y": None}
    names["x"] = array(data() if callable(data) else data, "numpy")
    if isinstance(model, partial):
        names["kernel"] = model.keywords.get("rhs", model.keywords.get("kernel"))
    for fix in fixes:
        exec(fix.code, names)
    if names["y"] is not None:
        return tuple(names["y"].shape)
    if isinstance(model, partial):
        first = "lhs" if model.func.__name__ == "conv_general_dilated" else "x"
        return tuple(model(**{first: names["x"]}).shape)
    if isinstance(model, ft.ConvSpec):
        spec = names.get("spec", model)
        return tuple(spec.replace(batch=names["x"].shape[:1]).output_shape)
    return tuple(model.run(None, {model.get_inputs()[0].name: names["x"].astype("f4")})[0].shape)


RUNNERS = {"torch": run_torch, "keras": run_keras, "other": run_other}

__all__ = ["Data", "as_data", "try_fixes"]
