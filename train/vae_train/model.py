"""The networks: the VAE of "Deep Learning with R", section 8.4, how it grows with the image, and a deeper decoder.

`same` padding is Keras's: a stride-2 convolution on an even size pads only below and to the right, and a
stride-2 transposed convolution drops the last row and column of its full output.

The rule by which both networks grow: the image is halved until its sides are at most 16 pixels, so 28×28 gets the
book's one stride-2 stage, 64×64 two and 128×128 three. At 28×28×1 and latent_dim 2 `reference` is the book's
network, layer for layer (encoder 494,244 parameters, decoder 56,385).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runtime.errors import VAEError

Shape = tuple[int, int, int]
SMALLEST_SIDES = {"reference": 16, "deep": 8}  # the image is halved until its sides are at most so long


class DownConv(nn.Conv2d):
    """3×3, stride 2, `same`: (N, C, H, W) -> (N, out, H/2, W/2)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class UpConv(nn.ConvTranspose2d):
    """3×3, stride 2, `same`: (N, C, H, W) -> (N, out, 2H, 2W)."""

    bias: Tensor

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not self.training:
            return super().forward(x, output_size)[..., :-1, :-1]
        # With a bias, oneDNN takes twice as long; and the gradient of a slice is laid out like its dimensions, which
        # this keeps channels last.
        full = functional.conv_transpose2d(x, self.weight, stride=2).permute(0, 2, 3, 1)
        return (full[:, :-1, :-1] + self.bias.to(full.dtype)).permute(0, 3, 1, 2)


class LastConv(nn.Conv2d):
    """3×3, `same`, to few channels: (N, C, H, W) -> (N, out, H, W)."""

    bias: Tensor

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        image: Tensor = TapByTap.apply(x, self.weight)  # type: ignore[no-untyped-call]  # torch leaves `apply` untyped
        return image + self.bias.view(-1, 1, 1)


class TapByTap(torch.autograd.Function):
    """A 3×3 `same` convolution as one matrix product for all nine taps and the sum of the shifted results.

    x (N, C, H, W) channels last, weight (out, C, 3, 3) -> (N, out, H, W) float32. oneDNN fills its registers with
    output channels; where there is one, this takes 40 % of the time (as long as oneDNN where there are three).
    Autograd's own products of such narrow matrices would take ten times as long as these.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
        kernel = weight.permute(2, 3, 0, 1).to(x.dtype).reshape(-1, channels)
        ctx.save_for_backward(pixels, kernel)
        taps = (kernel @ pixels.T).view(9, -1, n, height, width)
        padded = torch.zeros(taps.shape[1], n, height + 2, width + 2, device=x.device)
        for tap, place in zip(taps, _places(padded), strict=True):
            place.add_(tap)
        return padded[:, :, 1:-1, 1:-1].transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        pixels, kernel = ctx.saved_tensors
        n, out, height, width = gradients[0].shape
        padded = functional.pad(gradients[0].transpose(0, 1), (1, 1, 1, 1))
        taps = torch.stack(_places(padded)).to(pixels.dtype).view(len(kernel), -1)
        return (
            (taps.T @ kernel).view(n, height, width, -1).permute(0, 3, 1, 2),
            (taps @ pixels).float().view(3, 3, out, -1).permute(2, 3, 0, 1),
        )


def _places(padded: Tensor) -> list[Tensor]:
    """Where in an image (…, H + 2, W + 2) each tap of a 3×3 kernel adds what it gave at the H×W pixels: nine views."""
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    return [padded[..., 2 - i : 2 - i + height, 2 - j : 2 - j + width] for i in range(3) for j in range(3)]


def conv(channels: int, out: int) -> nn.Conv2d:
    """3×3, `same`."""
    return nn.Conv2d(channels, out, 3, padding=1)


class Encoder(nn.Module):
    """image (N, C, H, W) in [0, 1] -> z_mean, z_log_var, each (N, latent_dim)."""

    def __init__(self, body: nn.Sequential, width: int, latent_dim: int) -> None:
        super().__init__()
        self.body = body
        self.z_mean = nn.Linear(width, latent_dim)
        self.z_log_var = nn.Linear(width, latent_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(image)
        return self.z_mean(x), self.z_log_var(x)


class Decoder(nn.Module):
    """z (N, latent_dim) -> image (N, C, H, W) in [0, 1]; `logits` is the same before the sigmoid."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body

    def logits(self, z: Tensor) -> Tensor:
        result: Tensor = self.body(z)
        return result

    def forward(self, z: Tensor) -> Tensor:
        return self.logits(z).sigmoid()


class VAE(nn.Module):
    """An encoder and a decoder that share a latent space, with Glorot-uniform weights and zero biases.

    `log_var` (C,) is the variance of a Gaussian likelihood, learned; None for the Bernoulli likelihood.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, log_var: nn.Parameter | None) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.log_var = log_var
        self.apply(_initialise)


def build_vae(
    image_shape: Shape, latent_dim: int, seed: int, networks: str = "reference", likelihood: str = "bernoulli"
) -> VAE:
    """A freshly initialised VAE; the same seed gives the same weights and leaves torch's own state alone.

    Raises VAEError for an image size that the halvings don't divide.
    """
    build = {"reference": _reference, "deep": _deep}[networks]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed CUDA as well
        encoder, decoder = build(image_shape, latent_dim)
        log_var = nn.Parameter(torch.full((image_shape[0],), -3.0)) if likelihood == "gaussian" else None
        return VAE(encoder, decoder, log_var)


def _reference(image_shape: Shape, latent_dim: int) -> tuple[Encoder, Decoder]:
    stages, height, width = halvings(image_shape, SMALLEST_SIDES["reference"])
    hidden = max(32, 4 * latent_dim)
    down: list[nn.Module] = [conv(image_shape[0], 32), nn.ReLU()]
    for stage in range(stages):
        down += [DownConv(64 if stage else 32, 64), nn.ReLU()]
    down += [conv(64, 64), nn.ReLU(), conv(64, 64), nn.ReLU()]
    down += [nn.Flatten(), nn.Linear(64 * height * width, hidden), nn.ReLU()]
    up: list[nn.Module] = [nn.Linear(latent_dim, 64 * height * width), nn.ReLU()]
    up += [nn.Unflatten(1, (64, height, width))]
    for stage in range(stages):
        up += [UpConv(64, 32 if stage == stages - 1 else 64), nn.ReLU()]
    up += [LastConv(32, image_shape[0])]
    return Encoder(nn.Sequential(*down), hidden, latent_dim), Decoder(nn.Sequential(*up))


def _deep(image_shape: Shape, latent_dim: int) -> tuple[Encoder, Decoder]:
    """One halving more than `reference`: an encoder whose widest layers stand before the last of them, and a decoder
    whose dense layers bend the latent space.

    At 28×28×1 the decoder costs 3.82 million multiplications (the reference's costs 3.85), the encoder 12.4 (18.7).
    """
    stages, height, width = halvings(image_shape, SMALLEST_SIDES["deep"])
    hidden = max(64, 4 * latent_dim)
    # The last layer halves, then the first, then those between them.
    down: list[nn.Module] = [DownConv(image_shape[0], 32) if stages > 1 else conv(image_shape[0], 32), nn.ReLU()]
    for stage in range(1, stages - 1):
        down += [DownConv(64 if stage > 1 else 32, 64), nn.ReLU()]
    down += [conv(64 if stages > 2 else 32, 64), nn.ReLU(), conv(64, 64), nn.ReLU(), DownConv(64, 48), nn.ReLU()]
    down += [nn.Flatten(), nn.Linear(48 * height * width, hidden), nn.ReLU()]
    up: list[nn.Module] = [nn.Linear(latent_dim, hidden), nn.SiLU(), nn.Linear(hidden, 2 * hidden), nn.SiLU()]
    up += [nn.Linear(2 * hidden, 32 * height * width), nn.SiLU(), nn.Unflatten(1, (32, height, width))]
    for stage in range(stages):
        up += [UpConv(48 if stage else 32, 32 if stage == stages - 1 else 48), nn.ReLU()]
    up += [LastConv(32, image_shape[0])]
    return Encoder(nn.Sequential(*down), hidden, latent_dim), Decoder(nn.Sequential(*up))


def require_size(image_shape: Shape, networks: str) -> None:
    """Raise VAEError for an image size that the networks' halvings don't divide."""
    halvings(image_shape, SMALLEST_SIDES[networks])


def halvings(image_shape: Shape, largest: int) -> tuple[int, int, int]:
    """How often the image is halved until its sides are at most `largest`, and the height and width then."""
    _, height, width = image_shape
    stages = 1
    while max(height, width) > largest << stages:
        stages += 1
    if height % (1 << stages) or width % (1 << stages):
        step = 1 << stages
        near = f"{max(1, height // step) * step}×{max(1, width // step) * step}"
        raise VAEError(
            f"images of {height}×{width} cannot be halved {stages} times; {near} can: scale them "
            "(--image-size does it for pictures)"
        )
    return stages, height >> stages, width >> stages


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
