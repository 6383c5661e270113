"""Distribution is PyTorch's: two processes with DistributedDataParallel, and a DataLoader that forks its workers."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.utils.data import DataLoader, Dataset

import faltung as ft
import faltung.torch.functional as F

STEPS, BATCH = 5, 8


def make_model():
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv1d(8, 4, 3, groups=2), nn.Flatten()
    return ft.accelerate(nn.Sequential(*layers, nn.Linear(4 * 8, 3)))


def make_data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(STEPS, BATCH, 2, 20, generator=generator), torch.randint(3, (STEPS, BATCH), generator=generator)


def train(model, batches):
    """The losses of a few steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for x, label in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def one_of_two(rank, store, results):
    """Train on every other sample, as one of two processes."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(make_model())
    losses = train(model, ((x[rank::2], label[rank::2]) for x, label in zip(*make_data(), strict=True)))
    dist.all_reduce(losses)
    torch.save((losses / 2, model.module.state_dict()), f"{results}{rank}")
    dist.destroy_process_group()
    os._exit(0)  # at Python's exit PyTorch 2.13 at times aborts in a thread of gloo's, with its own modules too


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


@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded, use of fork"
)  # Python 3.12 and later: our subject
def test_a_loader_that_forks_its_workers():
    F.conv1d(torch.randn(8, 64, 1000), torch.randn(64, 64, 3))  # the worker threads run before the fork
    losses = []
    for num_workers in (0, 2):
        options = {"multiprocessing_context": "fork"} if num_workers else {}
        loader = DataLoader(Smoothed(), batch_size=BATCH, num_workers=num_workers, **options)
        losses.append(train(make_model(), loader))
    assert torch.equal(*losses)
