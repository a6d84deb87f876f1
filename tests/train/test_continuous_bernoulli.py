"""The continuous Bernoulli loss against quadrature, through its gradient, and through a run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_runtime.bundle import Likelihood
from vae_runtime.latent.likelihood import log_likelihood
from vae_train.checkpoint import load_checkpoint
from vae_train.cli import train_command
from vae_train.continuous_bernoulli import (
    SERIES_REACH,
    log_normalizer,
    mean_of_logits,
    mean_of_probabilities,
)
from vae_train.objective import reconstruction_loss

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
X = torch.from_numpy((NODES + 1) / 2)
logits = st.one_of(st.floats(-200, 200), st.floats(-2 * SERIES_REACH, 2 * SERIES_REACH))


@settings(deadline=None)
@given(logits)
def test_the_density_integrates_to_one_with_this_mean(logit: float) -> None:
    eta = torch.tensor(logit, dtype=torch.float64)
    density = (X * eta - log_normalizer(eta)).exp() * torch.from_numpy(WEIGHTS) / 2
    assert float(density.sum()) == pytest.approx(1, abs=1e-7)
    assert float((X * density).sum()) == pytest.approx(float(mean_of_logits(eta)), abs=1e-7)


@settings(deadline=None)
@given(st.floats(-1e4, 1e4, width=32))
def test_its_gradient_is_the_mean_less_the_image(logit: float) -> None:
    eta = torch.tensor([[[[logit]]]], requires_grad=True)
    image = torch.full_like(eta, 0.25)
    loss = reconstruction_loss(eta, image, "continuous_bernoulli").sum()
    (gradient,) = torch.autograd.grad(loss, eta)
    assert torch.isfinite(gradient).all()
    exact = mean_of_logits(eta.detach().double())
    assert float(gradient) == pytest.approx(float(exact) - 0.25, abs=1e-5)


@settings(deadline=None)
@given(st.floats(-100, 100))
def test_single_precision_agrees_with_double(logit: float) -> None:
    exact = torch.tensor([logit], dtype=torch.float64)
    rounded = exact.float()
    for function in (log_normalizer, mean_of_logits):
        expected = function(rounded.double())
        torch.testing.assert_close(function(rounded).double(), expected, atol=1e-6, rtol=1e-6)


def test_trainer_and_runtime_agree() -> None:
    torch.manual_seed(0)
    eta = 20 * torch.randn(3, 1, 6, 6)
    images = torch.rand(3, 1, 6, 6)
    loss = reconstruction_loss(eta, images, "continuous_bernoulli")
    decoded = mean_of_logits(eta).numpy()
    likelihood = Likelihood("continuous_bernoulli")
    log_p = log_likelihood(images.numpy()[:, None], decoded[:, None], likelihood)[:, 0]
    np.testing.assert_allclose(-loss.numpy(), log_p, rtol=1e-4, atol=1e-2)
    parameter = torch.sigmoid(eta.double())
    torch.testing.assert_close(
        mean_of_probabilities(parameter.clamp(1e-6, 1 - 1e-6)),
        mean_of_logits(eta.double().clamp(-13.8155, 13.8155)),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.slow
def test_a_run_trains_with_it_and_its_decoder_gives_means(
    sample_folder: Path, tmp_path: Path
) -> None:
    arguments = f"--data {sample_folder} --likelihood continuous_bernoulli --epochs 1 --limit 300"
    done = CliRunner().invoke(train_command, [*arguments.split(), "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    saved = load_checkpoint(tmp_path / "run/model.pt")
    assert saved.likelihood.name == "continuous_bernoulli"
    z = torch.zeros(1, 2)
    with torch.no_grad():
        expected = mean_of_logits(saved.model.decoder.logits(z))
        torch.testing.assert_close(saved.model.decoder(z), expected)
