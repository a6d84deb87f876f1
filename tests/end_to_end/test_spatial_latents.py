"""An autoencoder whose latents are small images, from torch through the bundle to the API."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle
from vae_runtime.cli import group


class Spatial(nn.Module):
    """Latents (2, 4, 4) of images (1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(1, 4, 2, stride=2)
        self.up = nn.ConvTranspose2d(2, 1, 2, stride=2)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.down(image).chunk(2, 1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.up(z))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spatial") / "s.vae"
    export_bundle(Spatial(), image_shape=(1, 8, 8), output=path, on_finding=lambda line: None)
    return path


def test_latents_have_their_shape_in_the_api(bundle: Path) -> None:
    values = json.loads((bundle / "bundle.json").read_text())
    assert (values["schema"], values["latent_shape"], values["latent_dim"]) == (2, [2, 4, 4], 32)
    torch_vae = Spatial().eval()
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    with vae_runtime.load(bundle, provider="cpu") as vae, torch.no_grad():
        assert vae.latent_shape == (2, 4, 4)
        z_mean, z_log_var = vae.encode(images)
        assert z_mean.shape == z_log_var.shape == (3, 2, 4, 4)
        expected, _ = torch_vae.encode(torch.from_numpy(images))
        np.testing.assert_allclose(z_mean, expected, atol=1e-6)
        decoded = vae.decode(z_mean)
        np.testing.assert_allclose(decoded, torch_vae.decode(expected), atol=1e-6)
        np.testing.assert_array_equal(vae.decode(z_mean.reshape(3, 32)), decoded)
        np.testing.assert_array_equal(vae.decode(z_mean[0]), decoded[:1])
        np.testing.assert_array_equal(vae.reconstruct(images), decoded)
        assert vae.interpolate(z_mean[0], z_mean[1], 4).shape == (4, 1, 8, 8)
        assert vae.sample(2, seed=0).shape == (2, 1, 8, 8)
        assert vae.score(images).shape == (3,)
        # Channels last would be another latent, in silence.
        with pytest.raises(ValueError, match=r"don't end in the model's \(2, 4, 4\)"):
            vae.decode(z_mean.transpose(0, 2, 3, 1))
        with pytest.raises(ValueError, match="grid needs latents that are vectors"):
            vae.grid()
        vae.check()


def test_files_hold_them_flattened(bundle: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.save(tmp_path / "images.npy", images)
    for arguments in (
        ["encode", "images.npy", "-o", "z.npz"],
        ["decode", "z.npz", "-o", "decoded.npy"],
        ["reconstruct", "images.npy", "-o", "pairs.png"],
        ["interpolate", "images.npy", "-o", "path.png"],
        ["score", "images.npy"],
        ["info"],
    ):
        paths = [str(tmp_path / item) if "." in item else item for item in arguments]
        done = CliRunner().invoke(group, [*paths, "-m", str(bundle)])
        assert done.exit_code == 0, (arguments, done.output)
    assert "2×4×4" in done.output
    with np.load(tmp_path / "z.npz") as stored:
        assert stored["z_mean"].shape == (3, 32)
    with vae_runtime.load(bundle, provider="cpu") as vae:
        expected = vae.reconstruct(images)
    np.testing.assert_array_equal(np.load(tmp_path / "decoded.npy"), expected)
