"""All tables of ONNX's ops, opsets 9 to 21: name of the op → the function that writes it as nodes.

A function takes the Reader, whose node is being read, and the names of the node's inputs, None for those left out. It
returns the value it computes, or a tuple, and raises NotCovered for what it does not cover.
"""

from faltung.models.graphs import onnx_arithmetic, onnx_layers, onnx_rearranging, onnx_windows

TABLE = {**onnx_layers.TABLE, **onnx_windows.TABLE, **onnx_arithmetic.TABLE, **onnx_rearranging.TABLE}
