"""Trains a small convolutional network on the digits and writes digits.onnx: float, opset 17, batch 1, logits."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from examples.digits.make_data import Part, split

HERE = Path(__file__).parent
SEED = 7
# Pixels are 0..16; `fieldfare compile --preprocess scale=0.0625` does the same on the device.
SCALE = 0.0625


def network() -> nn.Sequential:
    """Return the network: float32 [n, 1, 8, 8] in, logits [n, 10] out."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10)),
    )


def tensor_of(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return images as the network takes them."""
    return torch.from_numpy(images.astype(np.float32)[:, None] * np.float32(SCALE))


def train(model: nn.Sequential, part: Part, epochs: int) -> None:
    """Fit `model` in place."""
    x, y = tensor_of(part.x), torch.from_numpy(part.y)
    batch = 64
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=epochs * -(-len(x) // batch))
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def accuracy(model: nn.Sequential, part: Part) -> float:
    """Return the share of digits that are recognised."""
    with torch.no_grad():
        return float((model(tensor_of(part.x)).argmax(1).numpy() == part.y).mean())


def export(model: nn.Sequential, file: Path) -> None:
    """Write the evaluated network as one ONNX file."""
    example = torch.zeros(1, 1, 8, 8)
    torch.onnx.export(
        model, (example,), str(file), input_names=["image"], output_names=["logits"], opset_version=17, dynamo=True, external_data=False
    )


def main() -> None:
    """Train, say how good it is, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--epochs", type=int, default=30)
    arguments.add_argument("--output", type=Path, default=HERE / "digits.onnx")
    chosen = arguments.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # so that the same seed gives the same weights
    parts = split()
    model = network()
    train(model, parts.training, chosen.epochs)
    export(model, chosen.output)
    print(f"{chosen.output.name}: {accuracy(model, parts.evaluation):.4f} of {len(parts.evaluation.y)} digits recognised")


if __name__ == "__main__":
    main()
