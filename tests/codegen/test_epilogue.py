"""Epilogues with an exponential: right in every layout and size, and never applied to what is in memory already."""

import re

import numpy as np
import pytest

import faltung as ft
from faltung import reference
from faltung.codegen.emitter import Emitter
from faltung.codegen.launcher import emit_program
from faltung.machine.known import KNOWN
from faltung.operators.activation import NOT_IN_NUMPY
from faltung.spec.activation import ACTIVATIONS, CHEAP

HEAVY = [name for name in ACTIVATIONS if name not in CHEAP]
SIZES = (
    "conv1d n2 w45 ic3 oc33 kw3",  # panels that end inside a vector
    "conv1d n3 w7 ic1 oc5 kw2 sw2 bias",  # less than a tile
    "conv1d n2 w70 ic16 oc24 kw5 same bias",  # winograd
    "conv2d n1 h9 w11 ic2 oc16 kh3 kw3 same",  # tiles across lines, and padding
    "conv2d n2 h8 w9 ic32 oc32 kh3 kw3 g32 same",  # depthwise
)
