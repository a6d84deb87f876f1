"""The models of the zoo by name; those of packages that aren't installed are left out."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from benchmarks.zoo.ports import BoltsVAE, GroupNormVAE, KerasVAE
from vae_runtime.arrays import ImageShape

MNIST = (1, 28, 28)
CIFAR = (3, 32, 32)
CELEBA = (3, 64, 64)


@dataclass(frozen=True)
class ZooModel:
    """How one model is made, the shape of its images, and the range where nothing tells it."""

    make: Callable[[], nn.Module]
    image_shape: ImageShape
    image_range: tuple[float, float] | None = None


def zoo() -> dict[str, ZooModel]:
    """Every model that can be made here, by name."""
    models: dict[str, ZooModel] = {}
    models["keras.io's convolutional VAE"] = ZooModel(KerasVAE, MNIST)
    models["GroupNorm, SiLU, upsampling"] = ZooModel(GroupNormVAE, CIFAR)
    models["lightning-bolts ResNet18"] = ZooModel(BoltsVAE, CIFAR, (0, 1))
    if importlib.util.find_spec("diffusers"):
        models["diffusers AutoencoderKL"] = ZooModel(_kl, CIFAR)
        models["diffusers AutoencoderTiny"] = ZooModel(_tiny, CIFAR)
    if importlib.util.find_spec("pythae"):
        models |= _pythae_models()
    return models


def _pythae_models() -> dict[str, ZooModel]:
    return {
        "pythae VAE, MLP": ZooModel(lambda: _pythae(MNIST, 16), MNIST),
        "pythae conv, MNIST": ZooModel(lambda: _pythae(MNIST, 16, "mnist", "Conv"), MNIST),
        "pythae ResNet, MNIST": ZooModel(lambda: _pythae(MNIST, 16, "mnist", "ResNet"), MNIST),
        "pythae ResNet, CIFAR": ZooModel(lambda: _pythae(CIFAR, 32, "cifar", "ResNet"), CIFAR),
        "pythae ResNet, CelebA": ZooModel(lambda: _pythae(CELEBA, 64, "celeba", "ResNet"), CELEBA),
        "pythae conv, CIFAR": ZooModel(lambda: _pythae(CIFAR, 32, "cifar", "Conv"), CIFAR),
    }


def _pythae(shape: ImageShape, latent_dim: int, data: str = "", kind: str = "") -> nn.Module:
    """A VAE of pythae with its own networks, or with those of one of its benchmarks."""
    models = importlib.import_module("pythae.models")
    config = models.VAEConfig(input_dim=shape, latent_dim=latent_dim)
    if not data:
        small: nn.Module = models.VAE(config)
        return small
    networks = importlib.import_module(f"pythae.models.nn.benchmarks.{data}")
    name = data.upper()
    encoder = getattr(networks, f"Encoder_{kind}_VAE_{name}")(config)
    decoder = getattr(networks, f"Decoder_{kind}_AE_{name}")(config)
    large: nn.Module = models.VAE(config, encoder=encoder, decoder=decoder)
    return large


def _kl() -> nn.Module:
    diffusers = importlib.import_module("diffusers")
    vae: nn.Module = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(32, 64),
        norm_num_groups=8,
    )
    return vae


def _tiny() -> nn.Module:
    diffusers = importlib.import_module("diffusers")
    vae: nn.Module = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32),
        decoder_block_out_channels=(32, 32, 32),
        num_encoder_blocks=(1, 2, 2),
        num_decoder_blocks=(2, 2, 1),
    )
    return vae
