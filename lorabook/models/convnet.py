"""A small convolutional net for 8 × 8 digits: what LoRA on Conv2d is tried on."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNet(nn.Module):
    """Three convolutions, two of which halve the picture, and a linear layer: 8 × 8 → 4 × 4 → 2 × 2 → 10 scores."""

    def __init__(self, generator: torch.Generator, width: int = 32):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.head = nn.Linear(width * 4, 10)
        for layer in (self.conv1, self.conv2, self.conv3, self.head):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "batch 1 8 8"]) -> Float[Tensor, "batch 10"]:
        for layer in (self.conv1, self.conv2, self.conv3):
            x = F.relu(layer(x))
        return self.head(x.flatten(1))
