"""PyTorch's own tools on a stock and on an accelerated model: what the one can do, the other can."""

import copy
import io
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn
from torch.ao import quantization
from torch.ao.quantization import quantize_fx
from torch.utils.flop_counter import FlopCounterMode

import faltung as ft
import faltung.torch

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]
OWN = {
    "same and a stride": (faltung.torch.Conv1d(3, 4, 4, stride=3, padding="same"), (2, 3, 31), (5, 3, 40)),
    "causal": (faltung.torch.Conv1d(3, 4, 4, padding="causal"), (2, 3, 31), (5, 3, 40)),
    "causal, reflected": (
        *(faltung.torch.Conv1d(3, 4, 4, padding="causal", padding_mode="reflect"), (2, 3, 31), (5, 3, 40)),
    ),
    "same, last, alone": (faltung.torch.Conv1d(3, 4, 2, stride=3, padding="same", layout="NWC"), (31, 3), (40, 3)),
    "pairs": (faltung.torch.Conv2d(3, 4, 3, padding=((1, 2), (0, 1))), (2, 3, 31, 9), (5, 3, 20, 8)),
    "pairs of volumes": (
        *(faltung.torch.Conv3d(2, 3, 3, stride=2, padding=((1, 0), (2, 2), (0, 0))), (1, 2, 6, 7, 8), (2, 2, 9, 6, 5)),
    ),
}
"""Layers that PyTorch does not have; the shape of an example; another shape."""


class Net(nn.Module):
    """A convolution with each padding of its own, and others around them."""

    def __init__(self):
        super().__init__()
        self.circular = nn.Conv1d(3, 8, 5, padding="same", padding_mode="circular")
        self.reflecting = nn.Conv1d(8, 8, 4, padding=2, padding_mode="reflect", groups=2)
        self.norm, self.relu = nn.BatchNorm1d(8), nn.ReLU()
        self.up = nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1, output_padding=1)

    def forward(self, x):
        return self.up(self.relu(self.norm(self.reflecting(self.circular(x)))))


class Images(nn.Module):
    """What PyTorch can quantise."""

    def __init__(self):
        super().__init__()
        self.quant, self.dequant = quantization.QuantStub(), quantization.DeQuantStub()
        self.first, self.norm, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.second = nn.Conv2d(8, 4, 3, stride=2)

    def forward(self, x):
        return self.dequant(self.second(self.relu(self.norm(self.first(self.quant(x))))))


def both(kind):
    torch.manual_seed(0)
    stock = kind().eval()
    return stock, ft.accelerate(stock, copy=True)


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def operators_of(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


# ---- programs for elsewhere

WRITERS = {
    "trace": lambda model, x: torch.jit.trace(model, x),
    "script": lambda model, x: torch.jit.script(model),
    "frozen script": lambda model, x: torch.jit.freeze(torch.jit.script(copy.deepcopy(model).eval())),
    "frozen trace": lambda model, x: torch.jit.freeze(torch.jit.trace(copy.deepcopy(model).eval(), x)),
    "symbolic trace": lambda model, x: torch.fx.symbolic_trace(model),
    "export": lambda model, x: torch.export.export(model, (x,)).module(),
    "strict export": lambda model, x: torch.export.export(model, (x,), strict=True).module(),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_writes_the_same_program(writer):
    stock, ours = both(Net)
    x = torch.randn(2, 3, 31)
    assert_close(WRITERS[writer](ours, x)(x), WRITERS[writer](stock, x)(x))
    assert type(ours.circular) is faltung.torch.Conv1d, "and the model stays accelerated"


@pytest.mark.parametrize("writer", [name for name in WRITERS if "export" not in name])
@pytest.mark.parametrize("name", OWN)
def test_paddings_that_pytorch_lacks_are_written_out_for_every_size(writer, name):
    layer, example, other = OWN[name]
    model = nn.Sequential(layer)
    program = WRITERS[writer](model, torch.randn(example))
    for shape in (example, other):
        x = torch.randn(shape)
        assert_close(program(x), layer(x))


def test_an_export_of_open_length_with_same_and_a_stride():
    layer, example, other = OWN["same and a stride"]
    open_length = {2: torch.export.Dim("length", min=8, max=64), 0: torch.export.Dim("batch", min=1, max=9)}
    program = torch.export.export(layer, (torch.randn(example),), dynamic_shapes=(open_length,))
    x = torch.randn(other)
    assert_close(program.module()(x), layer(x))


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_holds_stock_operators(strict):
    stock, ours = both(Net)
    x = torch.randn(2, 3, 31)
    mine, theirs = (torch.export.export(model, (x,), strict=strict) for model in (ours, stock))
    assert operators_of(mine) == operators_of(theirs)
    mine, theirs = mine.run_decompositions(), theirs.run_decompositions()
    assert operators_of(mine) == operators_of(theirs)


def test_scripts_hold_stock_operators():
    _, ours = both(Net)
    for program in (torch.jit.script(ours), torch.jit.trace(ours, torch.randn(2, 3, 31))):
        assert "faltung::" not in str(program.inlined_graph) and "aten::" in str(program.inlined_graph)


def test_programs_run_where_faltung_is_not_imported(tmp_path):
    stock, ours = both(Net)
    x = torch.randn(2, 3, 31)
    torch.save(x, tmp_path / "x.pt")
    torch.export.save(torch.export.export(ours, (x,)), tmp_path / "exported.pt2")
    torch.jit.script(ours).save(tmp_path / "scripted.pt")
    torch.jit.trace(ours, x).save(tmp_path / "traced.pt")
    torch.save(faltung.torch.restore(nn.Sequential(*ours.children()), copy=True), tmp_path / "restored.pt")
    program = """
import sys, torch
sys.modules["faltung"] = None
x = torch.load("x.pt")
models = [torch.export.load("exported.pt2").module(), torch.jit.load("scripted.pt"), torch.jit.load("traced.pt")]
models.append(torch.load("restored.pt", weights_only=False))
torch.save([model(x).detach() for model in models], "y.pt")
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    for y in torch.load(tmp_path / "y.pt"):
        assert_close(y, stock(x))


def written_as_onnx(model, x, dynamo):
    """The bytes of the model, by PyTorch's newer exporter or by the older one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch, of the older one's future, and of its own plans
        if dynamo:
            pytest.importorskip("onnxscript")
            return torch.onnx.export(model, (x,), dynamo=True).model_proto.SerializeToString()
        file = io.BytesIO()
        torch.onnx.export(model, (x,), file, dynamo=False)
        return file.getvalue()


def run_onnx(program, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(program)
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return torch.from_numpy(y)


@pytest.mark.parametrize("dynamo", [False, True])
def test_the_onnx_exporters(dynamo):
    onnx = pytest.importorskip("onnx")
    stock, ours = both(Net)
    x = torch.randn(2, 3, 31)
    theirs, mine = (written_as_onnx(model, x, dynamo) for model in (stock, ours))
    operators = [[node.op_type for node in onnx.load_from_string(program).graph.node] for program in (theirs, mine)]
    assert sorted(operators[0]) == sorted(operators[1])
    assert_close(run_onnx(mine, x), run_onnx(theirs, x))
    assert_close(run_onnx(mine, x), stock(x))


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_the_onnx_exporters_write_out_paddings_that_pytorch_lacks(name, dynamo):
    layer, example, _ = OWN[name]
    x = torch.randn(example)
    assert_close(run_onnx(written_as_onnx(nn.Sequential(layer).eval(), x, dynamo), x), layer(x))


# ---- tools that know classes


def test_a_symbolic_trace_keeps_layers_whole():
    stock, ours = both(Net)
    assert torch.fx.symbolic_trace(ours).code == torch.fx.symbolic_trace(stock).code
    assert type(torch.fx.symbolic_trace(ours).circular) is faltung.torch.Conv1d

    class Derived(faltung.torch.Conv1d):
        pass

    traced = torch.fx.symbolic_trace(nn.Sequential(Derived(3, 4, 5, padding=2)))
    x = torch.randn(2, 3, 31)
    assert [node.op for node in traced.graph.nodes].count("call_module") == 0  # as of a class derived from PyTorch's
    assert traced(x).shape == (2, 4, 31)


def test_fusing_by_fx():
    from torch.fx.experimental import optimization  # faltung.torch has imported it, without its warnings

    stock, ours = both(Images)
    fused, theirs = optimization.fuse(ours), optimization.fuse(stock)
    assert [name for name, _ in fused.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert type(fused.first) is faltung.torch.Conv2d and not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    x = torch.randn(2, 3, 8, 8)
    assert_close(fused(x), theirs(x))


def fused(model):
    return quantization.fuse_modules(model, [["first", "norm", "relu"]])


def quantised(model):
    model = fused(model)
    model.qconfig = quantization.get_default_qconfig("fbgemm")
    prepared = quantization.prepare(model)
    prepared(torch.ones(1, 3, 8, 8))
    return quantization.convert(prepared)


def trained(model):
    model = quantization.fuse_modules_qat(model.train(), [["first", "norm", "relu"]])
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    prepared = quantization.prepare_qat(model)
    prepared(torch.ones(2, 3, 8, 8)).sum().backward()
    return quantization.convert(prepared.eval())


def quantised_by_fx(model):
    mapping, x = quantization.get_default_qconfig_mapping("fbgemm"), torch.ones(1, 3, 8, 8)
    prepared = quantize_fx.prepare_fx(model, mapping, (x,))
    prepared(x)
    return quantize_fx.convert_fx(prepared)


@pytest.mark.filterwarnings("ignore")  # PyTorch's plans for it, and advice on ranges
@pytest.mark.parametrize("tool", [fused, quantised, trained, quantised_by_fx])
def test_fusing_and_quantisation(tool):
    stock, ours = both(Images)
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this PyTorch quantises with another engine")
    theirs, mine = tool(copy.deepcopy(stock)), tool(copy.deepcopy(ours))
    assert [type(part).__name__ for part in mine.modules()] == [type(part).__name__ for part in theirs.modules()]
    x = torch.randn(2, 3, 8, 8)
    assert_close(mine(x), theirs(x))


def test_counted_operations():
    stock, ours = both(Images)
    counts = []
    for model in (stock, ours):
        with FlopCounterMode(display=False) as counter:
            model(torch.randn(2, 3, 8, 8, requires_grad=True)).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0
    options = (8, 4, 4, 2, 0, 0, 2)
    up, fast = nn.ConvTranspose1d(*options), faltung.torch.ConvTranspose1d(*options)
    with FlopCounterMode(display=False) as theirs:
        up(torch.randn(2, 8, 9))
    with FlopCounterMode(display=False) as mine:
        fast(torch.randn(2, 8, 9))
    assert mine.get_total_flops() == theirs.get_total_flops() > 0


def test_a_class_of_ours_passes_for_pytorchs_in_tables():
    layer = ft.accelerate(nn.Conv1d(3, 4, 5))
    assert type(layer) is faltung.torch.Conv1d and type(layer) is not nn.Conv1d
    assert faltung.torch.Conv1d == nn.Conv1d != faltung.torch.Conv2d and {nn.Conv1d: "found"}[type(layer)] == "found"
    assert layer.__module__ == nn.Conv1d.__module__ and type(layer).__module__ == "faltung.torch.modules"

    class Derived(faltung.torch.Conv1d):
        pass

    assert Derived not in (nn.Conv1d, faltung.torch.Conv1d) and Derived == Derived
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert type(pickle.loads(pickle.dumps(layer, protocol))) is faltung.torch.Conv1d


# ---- the way back


def test_restore():
    stock, ours = both(Net)
    nn.utils.parametrizations.weight_norm(ours.up)
    x, parameters = torch.randn(2, 3, 31), list(ours.parameters())
    expected = ours(x)
    assert faltung.torch.restore(ours) is ours
    assert type(ours.circular) is nn.Conv1d and type(ours.up).__bases__[0] is nn.ConvTranspose1d
    assert vars(ours.circular).keys() == vars(stock.circular).keys()
    assert all(now is before for now, before in zip(ours.parameters(), parameters, strict=True))
    assert_close(ours(x), expected)
    assert type(ft.accelerate(ours).circular) is faltung.torch.Conv1d

    again = faltung.torch.restore(ours, copy=True)
    assert type(again.circular) is nn.Conv1d and type(ours.circular) is faltung.torch.Conv1d


def test_restore_refuses_what_pytorch_does_not_know():
    model = nn.Sequential(nn.ReLU(), faltung.torch.Conv1d(3, 4, 5, stride=2, padding="same"))
    with pytest.raises(ft.ModelError, match=r"restore: torch.nn.Conv1d must know all options of 1; got padding='same'"):
        faltung.torch.restore(model)
    assert type(faltung.torch.restore(nn.Sequential(faltung.torch.Conv1d(3, 4, 5, padding="same")))[0]) is nn.Conv1d
    last = faltung.torch.Conv1d(3, 4, 5, layout="NWC", precision="exact")
    with pytest.raises(ft.ModelError, match=r"of the module; got layout='NWC'\. Keep it in faltung\."):
        faltung.torch.restore(last)
    assert "precision" not in vars(faltung.torch.restore(faltung.torch.Conv1d(3, 4, 5, precision="exact")))
