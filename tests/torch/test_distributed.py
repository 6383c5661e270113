"""Distribution is PyTorch's: two processes with DistributedDataParallel, and a DataLoader that forks its workers."""

import pytest
import torch
import torch.multiprocessing as mp
from small_training import BATCH, make_data, make_model, one_of_two, train
from torch.utils.data import DataLoader, Dataset

import faltung.torch.functional as F


def test_two_processes_train_as_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    results = str(tmp_path / "rank")
    mp.spawn(one_of_two, (str(tmp_path / "store"), results), nprocs=2)
    alone = make_model()
    losses = train(alone, zip(*make_data(), strict=True))
    for rank in range(2):
        theirs, state = torch.load(f"{results}{rank}")
        torch.testing.assert_close(theirs, losses, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(state, dict(alone.state_dict()), rtol=1e-4, atol=1e-5)
    assert losses[-1] < losses[0]


class Smoothed(Dataset):
    """Samples that a worker convolves before it hands them over."""

    def __init__(self):
        x, label = make_data()
        self.x, self.label = x.flatten(0, 1), label.flatten()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        kernel = torch.full((2, 1, 3), 1 / 3)
        return F.conv1d(self.x[index], kernel, padding=1, groups=2), self.label[index]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")  # Python 3.12 and later
def test_a_loader_that_forks_its_workers():
    F.conv1d(torch.randn(8, 64, 1000), torch.randn(64, 64, 3))  # the worker threads run before the fork
    losses = []
    for num_workers in (0, 2):
        options = {"multiprocessing_context": "fork"} if num_workers else {}
        loader = DataLoader(Smoothed(), batch_size=BATCH, num_workers=num_workers, **options)
        losses.append(train(make_model(), loader))
    assert torch.equal(*losses)
