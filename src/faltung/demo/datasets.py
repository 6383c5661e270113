"""Real data with labels that PyPI wheels carry: nothing is downloaded at run time."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW, HOP = 256, 128  # samples: five seconds, every two and a half
LEARNERS = range(1, 8)  # people to learn from; the rest are for the test


@dataclass(frozen=True)
class Examples:
    """x `(N, *size, C)`, float32 and scaled, and the number of each one's label."""

    x: NDArray[np.float32]
    label: NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """What to learn from, what is held out, and the names of the labels."""

    sentence: str
    learn: Examples
    test: Examples
    names: list[str]


def exercises() -> Dataset:
    """Return windows `(N, 256, 6)` of a smartwatch on ten people who did seven exercises for the shoulder.

    Acceleration and rotation, 50 times a second (D. Burns and others, arXiv:1802.01489); three people are held out. The
    package seglearn carries the recordings.
    """
    found = importlib.util.find_spec("seglearn")  # for its file alone: the package is not imported
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError("the recordings are those that seglearn carries", name="seglearn")
    file = Path(found.submodule_search_locations[0]) / "data" / "watch_dataset.npy"
    data = np.load(file, allow_pickle=True).item()
    x, label, person = [], [], []
    for recording, exercise, subject in zip(data["X"], data["y"], data["subject"], strict=True):
        starts = range(0, len(recording) - WINDOW + 1, HOP)
        x += [recording[start : start + WINDOW] for start in starts]
        label += [exercise] * len(starts)
        person += [subject] * len(starts)
    windows, labels, learns = np.stack(x).astype(np.float32), np.array(label), np.isin(person, LEARNERS)
    windows = (windows - windows[learns].mean((0, 1))) / windows[learns].std((0, 1), ddof=1)
    sentence = (
        f"{learns.sum()} windows of {len(data['y_labels'])} exercises; {(~learns).sum()} of other people for the test"
    )
    learn, test = (Examples(windows[chosen], labels[chosen]) for chosen in (learns, ~learns))
    return Dataset(sentence, learn, test, list(data["y_labels"]))


def digits() -> Dataset:
    """Return images `(N, 8, 8, 1)` of handwritten digits, which scikit-learn carries; the last 500 are held out.

    E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    x, label = (data.images[..., None] / 16).astype(np.float32), data.target.astype(np.int64)
    learn, test = Examples(x[:-500], label[:-500]), Examples(x[-500:], label[-500:])
    sentence = f"{len(learn.x)} images of handwritten digits; 500 for the test"
    return Dataset(sentence, learn, test, list("0123456789"))
