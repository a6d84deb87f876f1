"""The reference networks of "Deep Learning with R", section 8.4, and nothing else.

`same` padding is Keras's: a stride-2 convolution on an even size pads only below and to the right, and a
stride-2 transposed convolution drops the last row and column of its full output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Shape = tuple[int, int, int]


class Encoder(nn.Module):
    """image (N, C, H, W) in [0, 1] -> z_mean, z_log_var, each (N, latent_dim)."""

    def __init__(self, image_shape: Shape, latent_dim: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * (height // 2) * (width // 2), 32)
        self.z_mean = nn.Linear(32, latent_dim)
        self.z_log_var = nn.Linear(32, latent_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv1(image).relu()
        x = self.conv2(functional.pad(x, (0, 1, 0, 1))).relu()
        x = self.conv3(x).relu()
        x = self.conv4(x).relu()
        x = self.hidden(x.flatten(1)).relu()
        return self.z_mean(x), self.z_log_var(x)


class Decoder(nn.Module):
    """z (N, latent_dim) -> image (N, C, H, W) in [0, 1]; `logits` is the same before the sigmoid."""

    def __init__(self, image_shape: Shape, latent_dim: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.grid = (64, height // 2, width // 2)
        self.hidden = nn.Linear(latent_dim, 64 * self.grid[1] * self.grid[2])
        self.up = nn.ConvTranspose2d(64, 32, 3, stride=2)
        self.last = nn.Conv2d(32, channels, 3, padding=1)

    def logits(self, z: Tensor) -> Tensor:
        x = self.hidden(z).relu().unflatten(1, self.grid)
        x = self.up(x)[..., :-1, :-1].relu()
        return self.last(x)

    def forward(self, z: Tensor) -> Tensor:
        return self.logits(z).sigmoid()


class VAE(nn.Module):
    """An encoder and a decoder that share a latent space, Glorot-uniform weights and zero biases.

    Raises ValueError for image sides that are odd: `same` padding would mean something else there.
    """

    def __init__(self, image_shape: Shape, latent_dim: int) -> None:
        super().__init__()
        if image_shape[1] % 2 or image_shape[2] % 2:
            raise ValueError(f"image height and width must be even, not {image_shape[1]}×{image_shape[2]}")
        self.encoder = Encoder(image_shape, latent_dim)
        self.decoder = Decoder(image_shape, latent_dim)
        self.apply(_initialise)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def build_vae(image_shape: Shape, latent_dim: int, seed: int) -> VAE:
    """A freshly initialised VAE; the same seed gives the same weights and leaves torch's own state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(image_shape, latent_dim)
