"""A head that chooses a cell, and the encoder that answers from it."""

import torch

from vae_train.cell_head import CellCodes, CellHead
from vae_train.model import CellEncoder, build_vae
from vae_train.prior_cells import cell_of, middle_points


def test_a_new_head_finds_every_cell_equally_probable_and_its_mean_in_the_middle() -> None:
    encoder = build_vae((1, 28, 28), 2, seed=0, networks="cells").encoder
    assert isinstance(encoder, CellEncoder)
    logits, z_means, z_log_var = encoder.codes(torch.rand(3, 1, 28, 28))
    assert not logits.any()
    assert torch.equal(z_means, middle_points(256, 2).expand(3, -1, -1))
    assert torch.equal(z_log_var, torch.full((3, 2), -5.0))


def test_the_mean_is_that_of_the_most_probable_cell() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    z_means = torch.arange(12.0).view(2, 3, 2)
    z_mean, z_log_var = CellCodes(logits, z_means, torch.zeros(2, 2)).chosen()
    assert z_mean.tolist() == [[2.0, 3.0], [6.0, 7.0]]
    assert z_log_var.shape == (2, 2)


def test_one_latent_has_as_many_cells() -> None:
    head = CellHead(8, 1)
    z_mean, z_log_var = head(torch.randn(5, 8))
    assert z_mean.shape == z_log_var.shape == (5, 1)
    assert head.codes(torch.randn(5, 8)).z_means.shape == (5, 256, 1)


def test_an_encoder_answers_from_its_cells_once_it_is_told_and_remembers_it() -> None:
    vae = build_vae((1, 28, 28), 2, seed=0, networks="cells")
    encoder = vae.encoder
    assert isinstance(encoder, CellEncoder)
    image = torch.rand(2, 1, 28, 28)
    plain, _ = encoder(image)
    with torch.no_grad():
        encoder.cell_head.linear.bias[77] = 1.0
    assert torch.equal(encoder(image)[0], plain)
    encoder.chooses_cells = True
    assert cell_of(encoder(image)[0], 256).tolist() == [77, 77]
    again = build_vae((1, 28, 28), 2, seed=1, networks="cells")
    again.load_state_dict(vae.state_dict())
    assert torch.equal(again.encoder(image)[0], encoder(image)[0])
