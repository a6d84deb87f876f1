"""What the ELBO lacks of log p(x)."""

import pytest
import torch

from vae_train.data import Dataset
from vae_train.evaluation import evaluate_elbo
from vae_train.exact_posterior import exact_log_likelihood
from vae_train.inference_gaps import low_density_share, refined_elbo
from vae_train.model import VAE, build_vae


def small_vae() -> VAE:
    model = build_vae((1, 28, 28), 2, seed=0, networks="reference", likelihood="bernoulli")
    return model.eval()


@pytest.mark.slow
def test_the_refined_elbo_lies_between_the_encoders_and_log_p(data: Dataset) -> None:
    model = small_vae()
    with torch.no_grad():
        # An encoder that answers something wrong for every image.
        model.encoder.z_mean.bias.add_(2)
    images = data.test.images[:10]
    elbo = evaluate_elbo(model, "standard", images).elbo
    refined = refined_elbo(model, "standard", images, samples=16)
    log_p = exact_log_likelihood(model, images)
    assert refined.mean() > elbo.mean() + 0.5
    assert refined.mean() < log_p.mean() + 0.05


@pytest.mark.slow
def test_the_share_without_data_is_a_share(data: Dataset) -> None:
    assert 0 <= low_density_share(small_vae(), data.test.images[:20]) < 1
