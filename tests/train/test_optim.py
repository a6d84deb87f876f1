import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vae_train.config import PRESETS
from vae_train.optim import build_optimizer, learning_rate, loss_scale, orthogonalized, set_rate


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    config = replace(PRESETS["default"], learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(config, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[100] == 1.0
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] < 1e-5


def test_the_book_keeps_its_rate() -> None:
    assert {learning_rate(PRESETS["book"], step, 9) for step in range(9)} == {1e-3}


def test_the_books_loss_is_a_mean_over_pixels_and_every_other_a_sum() -> None:
    assert loss_scale(PRESETS["book"]) == 1 / 784
    assert loss_scale(PRESETS["default"]) == 1
    assert loss_scale(replace(PRESETS["default"], optimizer="adam")) == 1


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
    scale=st.floats(1e-4, 1e4),
    seed=st.integers(0, 999),
)
def test_an_orthogonalized_matrix_turns_without_stretching(
    rows: int, columns: int, scale: float, seed: int
) -> None:
    matrix = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    # Five iterations don't lift the weakest directions all the way.
    strong = s > 0.05 * s[0]
    turned = u.T @ orthogonalized(matrix) @ v.T
    assert ((turned.diagonal()[strong] > 0.3) & (turned.diagonal()[strong] < 1.3)).all()
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-2


@pytest.mark.parametrize("shape", [(48, 48), (32, 700), (700, 32)], ids=str)
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-6], ids=str)
def test_orthogonalizing_on_the_short_side_is_the_iteration_as_published(
    shape: tuple[int, int], smallest: float
) -> None:
    u, s, v = torch.linalg.svd(
        torch.randn(shape, generator=torch.Generator().manual_seed(0)), full_matrices=False
    )
    matrix = u @ torch.logspace(0, math.log10(smallest), len(s)).diag() @ v
    x = (matrix / matrix.norm()).double()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    assert (orthogonalized(matrix) - x).norm() < 1e-3 * x.norm()


def test_muon_moves_matrices_and_adam_the_rest() -> None:
    model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.Conv2d(32, 32, 3), nn.ConvTranspose2d(32, 16, 3))
    optimizer = build_optimizer(model, replace(PRESETS["best"], optimizer="muon"))
    shapes = [[tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups]
    assert shapes == [[(32, 32, 3, 3), (32, 16, 3, 3)], [(32, 1, 3, 3), (32,), (32,), (16,)]]
    set_rate(optimizer, 0.02)
    before = [p.detach().clone() for p in model.parameters()]
    model(torch.rand(2, 1, 8, 8)).square().sum().backward()
    optimizer.step()
    assert all((p != old).any() for p, old in zip(model.parameters(), before, strict=True))
    weights = list(model.parameters())
    moved = (weights[2] - before[2]).flatten(1)
    assert torch.linalg.svdvals(moved).max() < 1.3 * 0.02
