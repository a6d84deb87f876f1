"""A model whose decoder gets something else than its encoder's mean is refused, not exported."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vae_export.adapters import adapt
from vae_export.adapters.agreement import own_forward
from vae_export.adapters.parts import possible_parts
from vae_runtime.errors import VAEError

SHAPE = (1, 8, 8)


class Sampling(nn.Module):
    """As people write it, with a step between the draw and the decoder."""

    def __init__(self, draw: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
        self.decoder = nn.Sequential(nn.Linear(3, 64), nn.Sigmoid())
        self.draw = draw

    def step(self, z: Tensor) -> Tensor:
        return z

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_var = self.encoder(image).chunk(2, 1)
        z = self.draw(mean, torch.exp(0.5 * log_var))
        return self.decoder(self.step(z)), mean, log_var


DRAWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "randn_like": lambda mean, std: mean + std * torch.randn_like(std),
    "randn": lambda mean, std: mean + std * torch.randn(mean.shape),
    "normal": torch.normal,
    "normal_": lambda mean, std: mean + std * torch.empty_like(std).normal_(),
    "rsample": lambda mean, std: torch.distributions.Normal(mean, std).rsample(),
    "laplace": lambda mean, std: torch.distributions.Laplace(mean, std).rsample(),
    "several": lambda mean, std: (mean + std * torch.randn(5, *mean.shape)).flatten(0, 1),
    "minus": lambda mean, std: mean - std * torch.randn_like(std),
    "numpy": lambda mean, std: mean + std * torch.from_numpy(np.random.randn(*std.shape)).float(),
    "nothing": lambda mean, std: mean,
}


@pytest.mark.parametrize("name", DRAWS)
def test_models_that_decode_their_draws_are_taken(name: str) -> None:
    adapted = adapt(Sampling(DRAWS[name]).eval(), image_shape=SHAPE)
    assert adapted.latent_shape == (3,)
    assert not any("warning" in line for line in adapted.findings)


INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "mapped": lambda image: 2 * image - 1,
    "binarized": lambda image: (image > 0.5).float(),
    "drawn": torch.bernoulli,
    "with noise": lambda image: image + 0.1 * torch.randn_like(image),
}


@pytest.mark.parametrize("name", INPUTS)
def test_models_that_encode_other_images_than_they_get_are_taken(name: str) -> None:
    class Preparing(Sampling):
        def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return super().forward(INPUTS[name](image))

    adapted = adapt(Preparing(DRAWS["randn_like"]).eval(), image_shape=SHAPE)
    assert not any("warning" in line for line in adapted.findings)


class Methods(Sampling):
    """With methods that scale what the encoder gives."""

    scale = 1.0
    log_var = 0.0

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(image).chunk(2, 1)
        return self.scale * mean, log_var + self.log_var

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self.decoder(z)
        return image

    def forward(self, image: Tensor) -> Any:
        mean, log_var = self.encode(image)
        return self.decode(self.step(self.draw(mean, torch.exp(0.5 * log_var))))


def test_small_deviations_of_large_means_are_not_warned_of() -> None:
    vae = Methods(DRAWS["randn_like"]).eval()
    vae.scale, vae.log_var = 30.0, -17.0
    assert not any("warning" in line for line in adapt(vae, image_shape=SHAPE).findings)


def test_a_shift_of_large_means_is_seen_and_rounding_to_bytes_is_none() -> None:
    class Shifted(Methods):
        def step(self, z: Tensor) -> Tensor:
            return z + 1.5

    class Rounded(Methods):
        def step(self, z: Tensor) -> Tensor:
            low, high = z.min(), z.max()
            return torch.round((z - low) / (high - low) * 255) / 255 * (high - low) + low

    Shifted.scale = Rounded.scale = 60.0
    assert adapt(Rounded(DRAWS["nothing"]).eval(), image_shape=SHAPE).latent_shape == (3,)
    with pytest.raises(VAEError, match="doesn't decode the mean"):
        adapt(Shifted(DRAWS["nothing"]).eval(), image_shape=SHAPE)


def test_a_step_in_a_module_around_the_parts_is_named() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Sampling(DRAWS["randn_like"])

        def forward(self, image: Tensor) -> Any:
            mean, _ = self.net.encoder(image).chunk(2, 1)
            return self.net.decoder(mean + 1)

    with pytest.raises(VAEError, match="Outer doesn't decode the mean"):
        adapt(Outer().eval(), image_shape=SHAPE)


@pytest.mark.parametrize("error", [Exception, ZeroDivisionError, ImportError, OSError])
def test_a_forward_that_fails_in_any_way_tells_nothing(error: type[Exception]) -> None:
    class Failing(Methods):
        def forward(self, image: Tensor) -> Any:
            raise error("not today")

    assert adapt(Failing(torch.normal).eval(), image_shape=SHAPE).latent_shape == (3,)


def test_a_forward_in_another_precision_is_compared() -> None:
    class Half(Methods):
        def forward(self, image: Tensor) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super().forward(image)

    adapted = adapt(Half(DRAWS["randn_like"]).eval(), image_shape=SHAPE)
    assert not any("warning" in line for line in adapted.findings)


def test_functions_as_attributes_are_kept() -> None:
    class Functions(Sampling):
        encode: Callable[[Tensor], Any]
        decode: Callable[[Tensor], Any]

        def __init__(self) -> None:
            super().__init__(torch.normal)
            self.encode = lambda image: self.encoder(image).chunk(2, 1)
            self.decode = lambda z: self.decoder(z)

        def forward(self, image: Tensor) -> Any:
            return self.decode(self.encode(image)[0])

    vae = Functions().eval()
    encode, decode = vae.encode, vae.decode
    assert adapt(vae, image_shape=SHAPE).latent_shape == (3,)
    assert vae.encode is encode
    assert vae.decode is decode


def test_the_own_forward_leaves_nothing_behind_and_runs_without_gradients() -> None:
    has_gradients = []

    class Keeping(Methods):
        def step(self, z: Tensor) -> Tensor:
            has_gradients.append(z.requires_grad)
            self.stats = {"z": z}
            return z

    vae = Keeping(DRAWS["randn_like"]).eval()
    assert len(own_forward(vae, possible_parts(vae)[0], torch.rand(2, *SHAPE)).moved) == 1
    assert not hasattr(vae, "stats")
    assert has_gradients == [False] * 3


def test_a_forward_that_needs_gradients_gets_them() -> None:
    class Hamiltonian(Methods):
        def step(self, z: Tensor) -> Tensor:
            (slope,) = torch.autograd.grad(z.square().sum(), z)
            return z - slope

    with pytest.raises(VAEError, match="doesn't decode the mean"):
        adapt(Hamiltonian(DRAWS["randn_like"]).eval(), image_shape=SHAPE)


STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "a sphere": lambda z: z / z.norm(dim=1, keepdim=True),
    "a flow": lambda z: z + torch.tanh(2 * z + 1),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_between_draw_and_decoder_is_named(name: str) -> None:
    class Stepping(Sampling):
        def step(self, z: Tensor) -> Tensor:
            return STEPS[name](z)

    vae = Stepping(DRAWS["randn_like"]).eval()
    with pytest.raises(VAEError, match=r"Stepping doesn't decode the mean .*give the pair"):
        adapt(vae, image_shape=SHAPE)
    assert adapt(vae.encoder, vae.decoder, image_shape=SHAPE).latent_shape == (3,)


def test_a_step_is_seen_between_methods_too() -> None:
    class Reconstructing(Methods):
        def reconstruct(self, image: Tensor) -> Tensor:
            mean, _ = self.encode(image)
            return self.decode(z=self.step(mean))

        def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
            return self.reconstruct(batch["image"])

    class Stepping(Reconstructing):
        def step(self, z: Tensor) -> Tensor:
            return z + 1

    assert adapt(Reconstructing(torch.normal).eval(), image_shape=SHAPE).latent_shape == (3,)
    with pytest.raises(VAEError, match="doesn't decode the mean"):
        adapt(Stepping(torch.normal).eval(), image_shape=SHAPE)


def test_a_model_that_decodes_draws_from_the_prior_as_well_is_taken() -> None:
    class Adversarial(Sampling):
        def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            self.decoder(torch.randn(len(image), 3))
            return super().forward(image)

    assert adapt(Adversarial(torch.normal).eval(), image_shape=SHAPE).latent_shape == (3,)


SPREADS: dict[str, Callable[[Tensor], Tensor]] = {
    "log_var": lambda spread: torch.exp(spread / 2),
    "log_std": torch.exp,
    "std": lambda spread: spread,
    "var": torch.sqrt,
}


@pytest.mark.parametrize("kind", SPREADS)
def test_the_spread_is_what_the_own_forward_draws_with(kind: str) -> None:
    class Spread(Sampling):
        def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
            mean, spread = self.encoder(image).chunk(2, 1)
            return mean, torch.nn.functional.softplus(spread)

        def decode(self, z: Tensor) -> Tensor:
            image: Tensor = self.decoder(z)
            return image

        def forward(self, image: Tensor) -> Tensor:  # type: ignore[override]
            mean, spread = self.encode(image)
            return self.decode(self.draw(mean, SPREADS[kind](spread)))

    vae = Spread(torch.normal).eval()
    adapted = adapt(vae, image_shape=SHAPE)
    assert any(f"0 and 1 ({kind})" in line for line in adapted.findings)
    assert not any("warning" in line for line in adapted.findings)
    image = torch.rand(5, *SHAPE)
    with torch.no_grad():
        expected = SPREADS[kind](vae.encode(image)[1])
        torch.testing.assert_close(torch.exp(adapted.encoder(image)[1] / 2), expected)


def test_deviations_that_no_spread_explains_are_warned_of() -> None:
    vae = Sampling(lambda mean, std: torch.normal(mean, 3 * std)).eval()
    adapted = adapt(vae, image_shape=SHAPE)
    assert any("draws with other standard deviations" in line for line in adapted.findings)
