"""Layouts: shapes go in and out of every one of them."""

import pytest

from faltung.errors import ShapeError
from faltung.spec.layout import (
    KERNEL_LAYOUTS,
    LAYOUTS,
    join_kernel_shape,
    join_shape,
    resolve_kernel_layout,
    resolve_layout,
    split_kernel_shape,
    split_shape,
)


def test_the_layouts_are_those_of_the_design():
    assert LAYOUTS == ("NWC", "NCW", "NHWC", "NCHW", "NDHWC", "NCDHW")
    assert KERNEL_LAYOUTS == ("WIO", "OIW", "HWIO", "OIHW", "DHWIO", "OIDHW")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_undoes_join(layout):
    spatial = (5, 6, 7)[: len(layout) - 2]
    shape = join_shape(layout, (2,), 3, spatial)
    assert dict(zip(layout, shape, strict=True)) == {
        "N": 2,
        "C": 3,
        **dict(zip(layout.strip("NC"), spatial, strict=True)),
    }
    assert split_shape(layout, shape) == ((2,), 3, spatial)


@pytest.mark.parametrize("layout", KERNEL_LAYOUTS)
def test_split_kernel_undoes_join_kernel(layout):
    kernel_size = (5, 6, 7)[: len(layout) - 2]
    shape = join_kernel_shape(layout, kernel_size, 2, 3)
    assert (shape[layout.index("I")], shape[layout.index("O")]) == (2, 3)
    assert split_kernel_shape(layout, shape) == (kernel_size, 2, 3)


@pytest.mark.parametrize("given, rank, expected", [(None, 1, "NWC"), ("nchw", 2, "NCHW"), ("NDHWC", 3, "NDHWC")])
def test_layouts_in_any_spelling(given, rank, expected):
    assert resolve_layout(given, rank) == expected


@pytest.mark.parametrize(
    "given, rank, expected", [(None, 3, "DHWIO"), ("oiw", 2, "OIHW"), ("WIO", 3, "DHWIO"), ("OIHW", 2, "OIHW")]
)
def test_kernel_layouts_in_any_spelling(given, rank, expected):
    assert resolve_kernel_layout(given, rank) == expected


@pytest.mark.parametrize(
    "resolve, given, rank, message",
    [
        (resolve_layout, "NHWC", 1, "layout of conv1d must be NWC or NCW; got 'NHWC'. Did you mean 'NWC'?"),
        (resolve_layout, 3, 2, "layout of conv2d must be NHWC or NCHW; got 3. Give its name."),
        (resolve_layout, "channels_first", 2, "layout must name the axes; got 'channels_first'. Use layout='NCHW'."),
        (resolve_layout, "channels_last", 1, "layout must name the axes; got 'channels_last'. Use layout='NWC'."),
        (
            resolve_kernel_layout,
            "HWIO",
            3,
            "kernel_layout of conv3d must be DHWIO or OIDHW; got 'HWIO'. Did you mean 'DHWIO'?",
        ),
    ],
)
def test_messages(resolve, given, rank, message):
    with pytest.raises(ShapeError) as caught:
        resolve(given, rank)
    assert str(caught.value) == message
