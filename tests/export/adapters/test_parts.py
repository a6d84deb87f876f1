"""Encoder and decoder are found by the names that people give them."""

import pytest
import torch
from torch import Tensor, nn

from vae_export.adapters import adapt
from vae_export.adapters.parts import possible_parts, unwrap_inside, unwrapped
from vae_runtime.errors import VAEError

SHAPE = (1, 8, 8)


class Heads(nn.Module):
    """lightning-bolts' form: features, and two layers beside the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 2, stride=2), nn.ReLU())
        self.fc_mu = nn.Linear(64, 3)
        self.fc_var = nn.Linear(64, 3)
        self.decoder = nn.Sequential(nn.Linear(3, 64), nn.Sigmoid())


def test_heads_beside_the_encoder_make_its_posterior() -> None:
    vae = Heads().eval()
    adapted = adapt(vae, image_shape=SHAPE)
    images = torch.rand(2, *SHAPE)
    with torch.no_grad():
        mean, log_var = adapted.encoder(images)
        features = vae.encoder(images).flatten(1)
        torch.testing.assert_close(mean, vae.fc_mu(features))
        torch.testing.assert_close(log_var, vae.fc_var(features))
    assert "heads fc_mu and fc_var" in adapted.findings[0]


def test_heads_that_the_encoder_has_itself_are_not_put_behind_it() -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            vae = Heads()
            self.fc_mu, self.fc_var, self.decoder = vae.fc_mu, vae.fc_var, vae.decoder
            self.encoder = Both(vae.encoder, vae.fc_mu, vae.fc_var)

    adapted = adapt(Inside().eval(), image_shape=SHAPE)
    assert "heads" not in adapted.findings[0]
    assert adapted.latent_shape == (3,)


class Both(nn.Module):
    def __init__(self, body: nn.Module, mean: nn.Module, log_var: nn.Module) -> None:
        super().__init__()
        self.body, self.mean, self.log_var = body, mean, log_var

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(image).flatten(1)
        return self.mean(features), self.log_var(features)


def test_heads_are_known_by_how_their_names_end() -> None:
    vae = Heads()
    vae.hidden2mu, vae.hidden2log_var = vae.fc_mu, vae.fc_var
    del vae.fc_mu, vae.fc_var
    assert "heads hidden2mu and hidden2log_var" in adapt(vae.eval(), image_shape=SHAPE).findings[0]


def test_several_layers_whose_names_end_so_are_no_heads() -> None:
    class Methods(Heads):
        def __init__(self) -> None:
            super().__init__()
            self.enc_mu, self.enc_logvar = self.fc_mu, self.fc_var
            del self.fc_mu, self.fc_var
            self.dec_mu, self.dec_logvar = nn.Linear(64, 64), nn.Linear(64, 64)

        def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
            features = self.encoder(image).flatten(1)
            return self.enc_mu(features), self.enc_logvar(features)

        def decode(self, z: Tensor) -> Tensor:
            return torch.sigmoid(self.dec_mu(self.decoder(z)))

    found = adapt(Methods().eval(), image_shape=SHAPE).findings[0]
    assert found == "parts: methods encode and decode of Methods"


def test_a_vae_inside_another_module_is_found() -> None:
    vae = Heads().eval()
    holder = nn.ModuleDict({"vae": vae, "loss": nn.MSELoss()})
    for module in (holder, torch.optim.swa_utils.AveragedModel(vae).eval()):
        assert "fc_mu and fc_var" in adapt(module, image_shape=SHAPE).findings[0]
    holder["teacher"] = Heads()
    with pytest.raises(VAEError, match="several modules that may be the VAE: vae, teacher"):
        adapt(holder, image_shape=SHAPE)


def test_several_layers_that_may_be_a_head_are_listed() -> None:
    vae = Heads()
    vae.fc_logvar = nn.Linear(64, 3)
    with pytest.raises(VAEError, match="several layers .*: fc_mu, fc_var, fc_logvar"):
        possible_parts(vae)


def test_a_module_without_parts_lists_what_it_has() -> None:
    vae = nn.ModuleDict({"down": nn.Linear(1, 1), "up": nn.Linear(1, 1)})
    with pytest.raises(VAEError, match=r"its own: down, up.*\(encoder, decoder\)"):
        possible_parts(vae)


def test_a_codebook_makes_a_vq_vae_which_is_named() -> None:
    vae = Heads()
    vae.quantizer = nn.Embedding(4, 4)
    with pytest.raises(VAEError, match=r"has a codebook \(quantizer\)"):
        possible_parts(vae)


def test_a_codebook_beside_the_parts_is_seen_too() -> None:
    holder = nn.ModuleDict({"net": Heads(), "quantizer": nn.Embedding(4, 4)})
    with pytest.raises(VAEError, match=r"has a codebook \(quantizer\)"):
        adapt(holder.eval(), image_shape=SHAPE)


def test_wrappers_of_torch_are_looked_into() -> None:
    vae = Heads()
    assert unwrapped(nn.DataParallel(vae)) is vae
    assert unwrapped(torch.compile(vae)) is vae  # type: ignore[arg-type]
    with pytest.raises(VAEError, match="is TorchScript"):
        unwrapped(torch.jit.script(vae.decoder))


def test_wrappers_inside_a_module_are_replaced_by_what_they_hold() -> None:
    vae = Heads()
    encoder, decoder = vae.encoder, vae.decoder
    vae.encoder = nn.DataParallel(encoder)  # type: ignore[assignment]
    vae.decoder = torch.compile(decoder)  # type: ignore[assignment]
    unwrap_inside(vae)
    assert vae.encoder is encoder
    assert vae.decoder is decoder


def test_wrappers_under_two_names_are_replaced_under_both() -> None:
    vae = Heads()
    encoder = vae.encoder
    vae.encoder = vae.enc = nn.DataParallel(encoder)  # type: ignore[assignment]
    unwrap_inside(vae)
    assert all(vae.get_submodule(name) is encoder for name in ("encoder", "enc"))


def test_torchscript_is_refused_as_a_part_and_not_beside_it() -> None:
    vae = Heads().eval()
    holder = nn.ModuleDict({"vae": vae, "loss": torch.jit.script(nn.Linear(2, 2))})
    unwrap_inside(holder)
    assert adapt(holder, image_shape=SHAPE).latent_shape == (3,)
    vae.decoder = torch.jit.script(vae.decoder)  # type: ignore[assignment]
    unwrap_inside(holder)
    with pytest.raises(VAEError, match="is TorchScript"):
        adapt(holder, image_shape=SHAPE)
