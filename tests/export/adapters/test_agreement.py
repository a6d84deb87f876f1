"""A model whose decoder gets something else than its encoder's mean is refused, not exported."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vae_export.adapters import adapt
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
    "nothing": lambda mean, std: mean,
}


@pytest.mark.parametrize("name", DRAWS)
def test_models_that_decode_their_draws_are_taken(name: str) -> None:
    assert adapt(Sampling(DRAWS[name]).eval(), image_shape=SHAPE).latent_shape == (3,)


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
    class Methods(Sampling):
        def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
            mean, log_var = self.encoder(image).chunk(2, 1)
            return mean, log_var

        def decode(self, z: Tensor) -> Tensor:
            image: Tensor = self.decoder(z)
            return image

        def reconstruct(self, image: Tensor) -> Tensor:
            mean, _ = self.encode(image)
            return self.decode(z=self.step(mean))

        def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
            return self.reconstruct(batch["image"])

    class Stepping(Methods):
        def step(self, z: Tensor) -> Tensor:
            return z + 1

    assert adapt(Methods(torch.normal).eval(), image_shape=SHAPE).latent_shape == (3,)
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
