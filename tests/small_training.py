"""A small training that tests run in one process and, since a new process can import it, in two."""

import os

import torch
import torch.distributed as dist
from torch import nn

import faltung as ft

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
