"""python examples/torch_stream.py: a PyTorch network watches a real electrocardiogram sample by sample.

The network is the detector of J. Pan and W. J. Tompkins, IEEE Trans. Biomedical Engineering 32, 1985, in layers: a
band-pass, a derivative, a square and a moving mean. It is given ten samples at a time, as a monitor would get them,
and says at which of them it sees a beat. The same numbers come out as for the whole recording, bit for bit.
"""

import numpy as np
import pywt.data
import torch
from torch import nn

import faltung as ft

CHUNK = 10


class BeatDetector(nn.Module):
    """(N, 1, time) to (N, 1, time): how strong the steep slopes of a heart beat are."""

    def __init__(self) -> None:
        super().__init__()
        self.band = nn.Conv1d(1, 1, 33, padding=16, bias=False)
        self.slope = nn.Conv1d(1, 1, 5, padding=2, bias=False)
        self.mean = nn.AvgPool1d(31, stride=1, padding=15)
        time = torch.arange(-16, 17) / 4.0
        wave = (1 - time**2) * torch.exp(-(time**2) / 2)  # the second derivative of a bell, which no offset passes
        with torch.no_grad():
            self.band.weight[0, 0] = wave - wave.mean()
            self.slope.weight[0, 0] = torch.tensor([-1.0, -2.0, 0.0, 2.0, 1.0]) / 8

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of squared slopes around each sample."""
        steep: torch.Tensor = self.slope(self.band(x))
        return self.mean(steep * steep)


def main() -> None:
    """Watch the recording, then compare with the whole."""
    ecg = pywt.data.ecg().astype(np.float32).reshape(1, 1, -1)
    model = BeatDetector().eval()
    watch = ft.stream(model, example=ecg)
    print(watch.explain())

    outputs, threshold, is_beat = [], np.inf, False
    for start in range(0, ecg.shape[2], CHUNK):
        outputs.append(watch(ecg[:, :, start : start + CHUNK]))
        seen = np.concatenate(outputs, 2)[0, 0]
        if len(seen) > 200:  # what a beat is, the first second and a half tell
            threshold = 0.4 * seen.max()
        was_beat, is_beat = is_beat, bool(len(seen) and seen[-1] > threshold)
        if is_beat and not was_beat:
            print(f"beat near sample {len(seen)}, told after sample {start + CHUNK}")
    outputs.append(watch.flush())

    whole = ft.compile(model, example=ecg, precision="exact")(ecg)
    print("same bits as the whole recording:", np.array_equal(np.concatenate(outputs, 2), whole))


if __name__ == "__main__":
    main()
