"""Modules as people write them, whole, are taken without glue code."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from vae_export.adapters import Hints, ImageRange, adapt
from vae_runtime.errors import VAEError

SHAPE = (1, 8, 8)
IMAGES = torch.rand((5, *SHAPE), generator=torch.Generator().manual_seed(1))
Z = torch.randn((5, 3), generator=torch.Generator().manual_seed(2))


class Flat(nn.Module):
    """Flattened images, as in pytorch/examples; the others differ from it in one thing each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(64, 6)
        self.outer = nn.Linear(3, 64)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.inner(x.flatten(1)).chunk(2, 1)
        return mean, log_var

    def encode(self, x: Tensor) -> Any:
        return self.posterior(x)

    def decode(self, z: Tensor) -> Any:
        return torch.sigmoid(self.outer(z))


class Pair(NamedTuple):
    mu: Tensor
    logvar: Tensor


@dataclass
class Output:
    mu: Tensor
    log_var: Tensor


Holder = make_dataclass("Holder", ["latent_dist"])


def normal(mean: Tensor, log_var: Tensor) -> Any:
    return torch.distributions.Normal(mean, torch.exp(0.5 * log_var))


ENCODINGS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "tuple": lambda mean, log_var: (mean, log_var),
    "dict": lambda mean, log_var: {"log_var": log_var, "z_mean": mean},
    "model output": lambda mean, log_var: OrderedDict(embedding=mean, log_covariance=log_var),
    "named tuple": Pair,
    "dataclass": Output,
    "attributes": lambda mean, log_var: SimpleNamespace(mean=mean, logvar=log_var),
    "posterior inside": lambda mean, log_var: Holder(normal(mean, log_var)),
    "distribution": normal,
    "independent": lambda mean, log_var: torch.distributions.Independent(normal(mean, log_var), 1),
    "under another name": lambda mean, log_var: {"z_dist": normal(mean, log_var), "x": None},
    "in a tuple": lambda mean, log_var: (normal(mean, log_var), None),
    "log of deviation": lambda mean, log_var: {"mu": mean, "log_sigma": log_var / 2},
    "variance": lambda mean, log_var: {"mu": mean, "var": log_var.exp()},
    "one head": lambda mean, log_var: torch.cat([mean, log_var], 1),
    "sample behind": lambda mean, log_var: (mean, log_var, mean + torch.randn_like(mean)),
    "sample in front": lambda mean, log_var: (mean + torch.randn_like(mean), mean, log_var),
    "mean twice": lambda mean, log_var: (mean, mean, log_var),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_mean_and_log_variance_are_found_in_whatever_an_encoder_returns(name: str) -> None:
    class Named(Flat):
        def encode(self, x: Tensor) -> Any:
            return ENCODINGS[name](*self.posterior(x))

    vae = Named().eval()
    adapted = adapt(vae, image_shape=SHAPE)
    mean, log_var = vae.posterior(IMAGES)
    with torch.no_grad():
        found_mean, found_log_var = adapted.encoder(IMAGES)
        torch.testing.assert_close(found_mean, mean)
        torch.testing.assert_close(found_log_var, log_var)
        image = adapted.decoder(Z)
        torch.testing.assert_close(image, vae.decode(Z).reshape(5, *SHAPE))
    assert adapted.latent_shape == (3,)
    assert any("mages: flattened" in line for line in adapted.findings)


DECODINGS: dict[str, Callable[[Tensor], Any]] = {
    "dict": lambda image: {"reconstruction": image},
    "tuple": lambda image: (image, None),
    "model output": lambda image: SimpleNamespace(sample=image),
    "bernoulli": lambda image: torch.distributions.Bernoulli(image),
    "normal": lambda image: torch.distributions.Normal(image, 1.0),
}


@pytest.mark.parametrize("name", DECODINGS)
def test_images_are_found_in_whatever_a_decoder_returns(name: str) -> None:
    class Named(Flat):
        def decode(self, z: Tensor) -> Any:
            return DECODINGS[name](super().decode(z))

    adapted = adapt(Named().eval(), image_shape=SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(adapted.decoder(Z), Flat().decode(Z).reshape(5, *SHAPE))


def test_a_tanh_decoder_takes_and_gives_images_in_minus_one_to_one() -> None:
    class Centered(Flat):
        def decode(self, z: Tensor) -> Tensor:
            return torch.tanh(self.outer(z))

    vae = Centered().eval()
    adapted = adapt(vae, image_shape=SHAPE)
    assert str(adapted.image_range) == "-1,1"
    with torch.no_grad():
        mean, _ = vae.posterior(2 * IMAGES - 1)
        torch.testing.assert_close(adapted.encoder(IMAGES)[0], mean)
        expected = (vae.decode(Z).reshape(5, *SHAPE) + 1) / 2
        torch.testing.assert_close(adapted.decoder(Z), expected)


def test_a_copy_behind_the_last_activation_hides_nothing() -> None:
    class ChannelsLast(Flat):
        def decode(self, z: Tensor) -> Tensor:
            image = torch.tanh(self.outer(z)).view(-1, 8, 8, 1)
            return image.permute(0, 3, 1, 2).flatten(1).view(-1, *SHAPE).clone().contiguous()

    adapted = adapt(ChannelsLast().eval(), image_shape=SHAPE)
    assert str(adapted.image_range) == "-1,1"


def test_images_without_bounds_need_a_range_and_are_clamped_to_it() -> None:
    class Unbounded(Flat):
        def decode(self, z: Tensor) -> Tensor:
            image: Tensor = self.outer(z)
            return image

    vae = Unbounded().eval()
    with pytest.raises(VAEError, match=r"reach from -.*--image-range 0,1 or -1,1"):
        adapt(vae, image_shape=SHAPE)
    hints = Hints(image_range=ImageRange(-1, 1, clamped=True))
    adapted = adapt(vae, image_shape=SHAPE, hints=hints)
    with torch.no_grad():
        expected = ((vae.decode(Z).reshape(5, *SHAPE) + 1) / 2).clamp(0, 1)
        torch.testing.assert_close(adapted.decoder(Z), expected)


def test_a_standard_deviation_by_option_is_given_as_log_variance() -> None:
    class Deviations(Flat):
        def encode(self, x: Tensor) -> Any:
            mean, log_var = self.posterior(x)
            return mean, torch.exp(0.5 * log_var)

    vae = Deviations().eval()
    guessed = adapt(vae, image_shape=SHAPE)
    assert any("--spread var or std" in line for line in guessed.findings)
    adapted = adapt(vae, image_shape=SHAPE, hints=Hints(spread="std"))
    assert not any("--spread" in line for line in adapted.findings)
    with torch.no_grad():
        torch.testing.assert_close(adapted.encoder(IMAGES)[1], vae.posterior(IMAGES)[1])


def test_an_encoder_that_samples_is_named() -> None:
    class Draws(Flat):
        def encode(self, x: Tensor) -> Any:
            mean, log_var = self.posterior(x)
            return mean + torch.randn_like(mean), log_var

    with pytest.raises(VAEError, match=r"Draws.encode .*it samples"):
        adapt(Draws().eval(), image_shape=SHAPE)


def test_three_tensors_that_nothing_tells_apart_are_listed_and_can_be_chosen() -> None:
    class Three(Flat):
        def encode(self, x: Tensor) -> Any:
            mean, log_var = self.posterior(x)
            return 2 * mean, mean, log_var

    vae = Three().eval()
    with pytest.raises(VAEError, match=r"0 \(N, 3\), 1 \(N, 3\), 2 \(N, 3\).*--encoder-outputs"):
        adapt(vae, image_shape=SHAPE)
    adapted = adapt(vae, image_shape=SHAPE, hints=Hints(outputs=(1, 2)))
    with torch.no_grad():
        torch.testing.assert_close(adapted.encoder(IMAGES)[0], vae.posterior(IMAGES)[0])
    with pytest.raises(VAEError, match="returns no tensor 7"):
        adapt(vae, image_shape=SHAPE, hints=Hints(outputs=(1, 7)))


def test_an_encoder_without_a_variance_is_said_to_be_an_autoencoder() -> None:
    class Plain(Flat):
        def encode(self, x: Tensor) -> Any:
            return self.posterior(x)[0]

    adapted = adapt(Plain().eval(), image_shape=SHAPE)
    assert adapted.is_deterministic
    assert any("deterministic autoencoder" in line for line in adapted.findings)
    with torch.no_grad():
        assert (adapted.encoder(IMAGES)[1] == -20).all()


def test_a_decoder_that_gives_one_image_is_named() -> None:
    class Dead(Flat):
        def decode(self, z: Tensor) -> Tensor:
            return torch.sigmoid(0 * self.outer(z))

    adapted = adapt(Dead().eval(), image_shape=SHAPE)
    assert any("the same image for every latent" in line for line in adapted.findings)


class Spatial(nn.Module):
    """Latents (2, 4, 4), with the convolutions of latent diffusion models beside the parts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Conv2d(1, 4, 2, stride=2)
        self.quant_conv = nn.Conv2d(4, 4, 1)
        self.post_quant_conv = nn.Conv2d(2, 2, 1)
        self.decoder = nn.Sequential(nn.ConvTranspose2d(2, 1, 2, stride=2), nn.Sigmoid())


def test_spatial_latents_are_flattened_and_quant_convolutions_kept() -> None:
    vae = Spatial().eval()
    adapted = adapt(vae, image_shape=SHAPE)
    assert adapted.latent_shape == (2, 4, 4)
    with torch.no_grad():
        mean, log_var = vae.quant_conv(vae.encoder(IMAGES)).chunk(2, 1)
        found_mean, found_log_var = adapted.encoder(IMAGES)
        torch.testing.assert_close(found_mean, mean.flatten(1))
        torch.testing.assert_close(found_log_var, log_var.flatten(1))
        expected = vae.decoder(vae.post_quant_conv(mean))
        torch.testing.assert_close(adapted.decoder(mean.flatten(1)), expected)


def test_latents_are_scaled_as_a_diffusion_model_takes_them() -> None:
    vae = Spatial().eval()
    plain = adapt(vae, image_shape=SHAPE)
    vae.config = SimpleNamespace(scaling_factor=0.5, shift_factor=0.25)  # type: ignore[assignment]
    scaled = adapt(vae, image_shape=SHAPE)
    with torch.no_grad():
        mean, log_var = plain.encoder(IMAGES)
        scaled_mean, scaled_log_var = scaled.encoder(IMAGES)
        torch.testing.assert_close(scaled_mean, (mean - 0.25) * 0.5)
        torch.testing.assert_close(scaled_log_var, log_var + 2 * math.log(0.5))
        torch.testing.assert_close(scaled.decoder(scaled_mean), plain.decoder(mean))


def test_the_error_of_a_method_is_told_and_not_that_of_attributes_beside_it() -> None:
    class Labelled(Flat):
        def __init__(self) -> None:
            super().__init__()
            # They lead nowhere without what encode does.
            self.enc = nn.Linear(8, 9)
            self.dec = nn.Linear(7, 64)

        def encode(self, x: Tensor, label: Tensor) -> Any:  # type: ignore[override]
            return self.posterior(x + label)

    with pytest.raises(VAEError, match=r"Labelled.encode fails .*label"):
        adapt(Labelled(), image_shape=SHAPE)


def test_a_decoder_that_draws_is_named() -> None:
    class Draws(Flat):
        def decode(self, z: Tensor) -> Any:
            return torch.bernoulli(super().decode(z))

    with pytest.raises(VAEError, match=r"Draws.decode gives other images .*it draws"):
        adapt(Draws().eval(), image_shape=SHAPE)


def test_fields_of_unknown_names_are_listed_and_can_be_chosen() -> None:
    class Named(Flat):
        def encode(self, x: Tensor) -> Any:
            mean, log_var = self.posterior(x)
            return {"a": mean, "b": log_var}

    vae = Named().eval()
    with pytest.raises(VAEError, match=r"a \(N, 3\), b \(N, 3\).*--encoder-outputs"):
        adapt(vae, image_shape=SHAPE)
    assert adapt(vae, image_shape=SHAPE, hints=Hints(outputs=("a", "b"))).latent_shape == (3,)


def test_a_model_for_videos_is_said_to_be_one() -> None:
    class Video(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv3d(1, 2, 1)

        def encode(self, x: Tensor) -> Any:
            _, _, _, _, _ = x.shape
            return self.inner(x)

        def decode(self, z: Tensor) -> Any:
            return z

    with pytest.raises(VAEError, match=r"Video.encode is for videos: its inner .*\(C, H, W\)"):
        adapt(Video(), image_shape=SHAPE)


def test_a_convolution_in_time_makes_no_video_of_what_encodes() -> None:
    class Bands(Flat):
        def __init__(self) -> None:
            super().__init__()
            self.bands = nn.Conv3d(1, 1, 1)

        def encode(self, x: Tensor) -> Any:
            mean, log_var = self.posterior(self.bands(x[:, None]))
            return mean + torch.randn_like(mean), log_var

    with pytest.raises(VAEError, match="it samples"):
        adapt(Bands().eval(), image_shape=SHAPE)


def test_images_with_channels_last_are_told_how_to_turn() -> None:
    class ChannelsLast(Flat):
        def decode(self, z: Tensor) -> Any:
            return torch.sigmoid(self.outer(z)).view(-1, 8, 8, 1)

    with pytest.raises(VAEError, match=r"not \(8, 8, 1\): channels come first"):
        adapt(ChannelsLast(), image_shape=SHAPE)


def test_images_that_are_not_finite_are_named() -> None:
    class Overflowing(Flat):
        def decode(self, z: Tensor) -> Any:
            return self.outer(z) / 0

    with pytest.raises(VAEError, match=r"decode: its images have values that are not finite"):
        adapt(Overflowing(), image_shape=SHAPE)
