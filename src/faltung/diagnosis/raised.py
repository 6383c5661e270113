"""Errors that Keras, PyTorch and JAX raise in a block, with the diagnosis added and the original as their cause."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from types import FrameType, TracebackType
from typing import Any

from faltung.diagnosis.diagnosis import Diagnosis
from faltung.diagnosis.search import diagnose
from faltung.errors import FaltungError, ShapeError

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


class explain_errors(contextlib.ContextDecorator):
    """Explain the shape errors that layers raise in this block: ``with ft.explain_errors(): model(x)``.

    The error that comes out is also of the original's type, so that who catches that still does; the original is its
    cause, and ``error.diagnosis`` holds the diagnosis. An error that has nothing to do with shapes passes unchanged.

    Arguments:
        everywhere: explain errors from now on, without a block: in a notebook for every cell, in a program at its end.
    """

    def __init__(self, *, everywhere: bool = False) -> None:
        self._last_call: list[Any] = []
        self._stack = contextlib.ExitStack()
        if everywhere:
            install()

    def __enter__(self) -> "explain_errors":
        self._stack.enter_context(whole_tracebacks())
        if "torch" in sys.modules:
            self._stack.enter_context(_torch_watch(self._last_call))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        self._stack = contextlib.ExitStack()
        call, self._last_call[:] = [*self._last_call], []
        if not isinstance(error, Exception) or _explains_itself(error):
            return
        found = of_error(error, call[0] if call else None)
        if found is not None and not found.ok:
            raise explained(error, found) from error


def explained(error: Exception, diagnosis: Diagnosis) -> Exception:
    """Return an error that says what a diagnosis says and is caught as the original would be."""
    message = f"{str(error).splitlines()[0] if str(error) else type(error).__name__}\n\n{diagnosis}"
    kinds = (type(error),) if isinstance(error, ShapeError) else (ShapeError, type(error))
    try:
        new: Any = type("ExplainedError", kinds, {"__module__": "faltung"})(message)
    except TypeError:  # an error of another make
        new = ShapeError(message)
    new.found = diagnosis
    return new  # type: ignore[no-any-return]


def of_error(error: BaseException, call: Any = None) -> Diagnosis | None:
    """Return the diagnosis of an error from the layers and inputs on its way; None if there are none."""
    if isinstance(error, FaltungError) and error.request is not None and not _is_of_host(error):
        own: Diagnosis = error.diagnosis
        return own
    for model, data in _suspects(error):
        with contextlib.suppress(Exception):  # a suspect that cannot be read is none
            found = diagnose(model, data)
            if not found.ok:
                return found
    if call is not None:
        with contextlib.suppress(Exception):
            return diagnose(*call)
    return error.diagnosis if isinstance(error, FaltungError) else None


def _is_of_host(error: BaseException) -> bool:
    """Is it an error of ours in the words of a framework? What led to it is then among the framework's frames."""
    return isinstance(error, FaltungError) and "host" in (error.request or {})


def _explains_itself(error: Exception) -> bool:
    return isinstance(error, ShapeError) and error.request is not None and not _is_of_host(error)


def _suspects(error: BaseException) -> Iterator[tuple[Any, Any]]:
    """Yield models with their data from the frames of a traceback, the outermost first."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    for frame in frames:
        yield from _of_frame(frame)


def _of_frame(frame: FrameType) -> Iterator[tuple[Any, Any]]:
    said = frame.f_locals
    owner, name = said.get("self"), frame.f_code.co_name
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    layer = getattr(keras, "Layer", None)
    is_module = torch is not None and isinstance(owner, torch.nn.Module) and not (layer and isinstance(owner, layer))
    if is_module and name in ("_call_impl", "_wrapped_call_impl"):
        arguments = said.get("args", ())
        if arguments and hasattr(arguments[0], "shape"):
            yield owner, arguments[0]
    if layer is not None and isinstance(owner, layer):
        if isinstance(owner, keras.Sequential) and name == "build" and owner._layers:  # type: ignore[union-attr]
            is_declared = type(owner._layers[0]).__name__ == "InputLayer"
            yield list(owner._layers), None if is_declared else said.get("input_shape")
        arguments = said.get("args", ())
        if name == "__call__" and arguments and hasattr(arguments[0], "shape"):
            yield owner, arguments[0]
    if name == "__init__" and owner is not None and _is_convolution(type(owner)):
        words = frame.f_code.co_varnames[1 : frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
        if "kernel_size" in words:
            kind: Any = type(owner)
            yield partial(kind, **{word: said[word] for word in words if word in said}), None
    if name == "conv_general_dilated" and "lhs" in said and "rhs" in said:
        words = frame.f_code.co_varnames[1 : frame.f_code.co_argcount]
        jax = sys.modules["jax"]
        yield partial(jax.lax.conv_general_dilated, **{word: said[word] for word in words}), said["lhs"]


def _is_convolution(kind: type) -> bool:
    return "Conv" in kind.__name__ and kind.__module__.split(".")[0] in ("keras", "torch")


@contextlib.contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Let Keras and JAX keep the frames of their errors for a while."""
    keras, jax = sys.modules.get("keras"), sys.modules.get("jax")
    was_filtered = keras is not None and hasattr(keras, "config") and keras.config.is_traceback_filtering_enabled()
    before = jax.config.jax_traceback_filtering if jax is not None and hasattr(jax, "config") else None
    try:
        if was_filtered:
            keras.config.disable_traceback_filtering()  # type: ignore[union-attr]
        if before is not None:
            jax.config.update("jax_traceback_filtering", "off")  # type: ignore[union-attr]
        yield
    finally:
        if was_filtered:
            keras.config.enable_traceback_filtering()  # type: ignore[union-attr]
        if before is not None:
            jax.config.update("jax_traceback_filtering", before)  # type: ignore[union-attr]


def _torch_watch(last: list[Any]) -> Any:
    """A mode that keeps the call of a convolution function that raised."""
    torch = sys.modules["torch"]

    class Watch(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            try:
                return function(*args, **kwargs)
            except Exception:
                if getattr(function, "__name__", "") in CONVOLUTIONS:
                    named = dict(
                        zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, strict=False)
                    )
                    named |= kwargs
                    data = named.pop("input")
                    last[:] = [(partial(function, **named), data)]
                raise

    return Watch()


def install() -> None:
    """Explain errors in every cell of a notebook, or the error that ends a program."""
    notebook: Any = sys.modules.get("IPython")
    shell = notebook.get_ipython() if notebook is not None else None
    if shell is not None:

        def handler(self: Any, kind: type, error: BaseException, traceback: Any, tb_offset: Any = None) -> None:
            self.showtraceback((kind, error, traceback), tb_offset=tb_offset)
            _print(error)

        shell.set_custom_exc((Exception,), handler)
        return
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        usual(kind, error, traceback)
        _print(error)

    sys.excepthook = hook


def _print(error: BaseException) -> None:
    found = of_error(error)
    if found is not None and not found.ok:
        print(f"\n{found}", file=sys.stderr)
