"""Public VAEs ported, which need no install: keras.io's, lightning-bolts', one with GroupNorm."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KerasVAE(nn.Module):
    """keras.io/examples/generative/vae for MNIST: strided convolutions, transposed ones back."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 16),
            nn.ReLU(),
        )
        self.mean = nn.Linear(16, 2)
        self.log_var = nn.Linear(16, 2)
        self.decoder = nn.Sequential(
            nn.Linear(2, 3136),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.body(image)
        mean = self.mean(features)
        log_var = self.log_var(features)
        return mean, log_var, mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self.decoder(z)
        return image


class GroupNormBlock(nn.Module):
    """Two convolutions behind GroupNorm and SiLU, and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        sum_: Tensor = x + self.layers(x)
        return sum_


class GroupNormVAE(nn.Module):
    """32×32 colour images, GroupNorm, SiLU, nearest upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            GroupNormBlock(32),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            GroupNormBlock(64),
            nn.Flatten(),
        )
        self.fc_mu = nn.Linear(4096, 16)
        self.fc_var = nn.Linear(4096, 16)
        self.decoder = nn.Sequential(
            nn.Linear(16, 4096),
            nn.Unflatten(1, (64, 8, 8)),
            GroupNormBlock(64),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(64, 32, 3, padding=1),
            GroupNormBlock(32),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 3, 3, padding=1),
            nn.Sigmoid(),
        )


class ResNetBlock(nn.Module):
    """lightning-bolts' basic block; `scale` 2 upsamples by nearest neighbors, in its decoder."""

    def __init__(self, inside: int, out: int, *, scale: int = 1, stride: int = 1) -> None:
        super().__init__()
        up = [nn.Upsample(scale_factor=scale)] if scale > 1 else []
        self.layers = nn.Sequential(
            *up,
            nn.Conv2d(inside, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        again = [nn.Upsample(scale_factor=scale)] if scale > 1 else []
        around = [*again, nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out)]
        is_same = inside == out and scale == stride == 1
        self.around = nn.Identity() if is_same else nn.Sequential(*around)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.around(x))


class BoltsVAE(nn.Module):
    """lightning-bolts' ResNet18 VAE for 32×32 images, heads fc_mu and fc_var, no sigmoid."""

    def __init__(self, latent_dim: int = 256) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            ResNetBlock(64, 64),
            ResNetBlock(64, 128, stride=2),
            ResNetBlock(128, 256, stride=2),
            ResNetBlock(256, 512, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.fc_mu = nn.Linear(512, latent_dim)
        self.fc_var = nn.Linear(512, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 512 * 16),
            nn.Unflatten(1, (512, 4, 4)),
            ResNetBlock(512, 256),
            ResNetBlock(256, 128, scale=2),
            ResNetBlock(128, 64, scale=2),
            ResNetBlock(64, 64),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(64, 3, 3, padding=1, bias=False),
        )
