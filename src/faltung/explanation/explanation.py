"""ft.explain: what a layer does to an input, or a whole model layer by layer."""

from dataclasses import dataclass
from html import escape
from typing import Any

from faltung.diagnosis.search import examine
from faltung.explanation.single import describe
from faltung.explanation.table import tabulate
from faltung.models.data import as_data
from faltung.models.declared import declared
from faltung.models.reading import as_program


@dataclass(frozen=True, slots=True)
class Explanation:
    """A text that prints itself, in a notebook too."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


def explain(layer: Any, input_shape: Any = None) -> Explanation:
    """Return what a layer or spec does to an input of this shape; of a model, a table with a line for each layer.

    Named axes, the output size with the formula and its numbers, parameters, multiplications, memory, receptive field,
    padding at each end, which inputs the first, a middle and the last output touch, the 2-D convolution that does the
    same, and what every argument changes.

    Arguments:
        layer: what ft.diagnose reads: a Keras or PyTorch layer or model, a ConvSpec or its text.
        input_shape: a shape, its text, or an array. Default: what the layer declares.

    >>> print(explain("conv1d n8 w100 ic16 oc32 kw7 sw2 same"))
    conv1d: x (8, 100, 16) → y (8, 50, 32)
    ...
    """
    program = as_program(layer)
    data = as_data(input_shape) if input_shape is not None else declared(program)
    trace = program.run(data.shape, {})
    if trace.refused is not None:
        return Explanation(f"{examine(program, data)}")
    steps = [step for step in trace.steps if step.layer.kind != "input"]
    if len(steps) == 1 and steps[0].layer.kind in ("conv", "conv_transpose"):
        return Explanation(describe(steps[0].layer, steps[0].input_shape, steps[0].output_shape))
    return Explanation(tabulate(program.name, steps, data.shape))
