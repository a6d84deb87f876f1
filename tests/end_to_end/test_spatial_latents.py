"""An autoencoder whose latents are small images, from torch through the bundle to the API."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tests.runtime.helpers import output_of
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle
from vae_runtime.cli import group
from vae_runtime.errors import VAEError
from vae_runtime.formats import read_latents, write_latents
from vae_runtime.formats.latents import LATENT_FORMATS, Latents


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


def test_commands_take_and_return_latents_of_their_shape(bundle: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.save(tmp_path / "images.npy", images)
    for arguments in (
        ["encode", "images.npy", "-o", "z.npz"],
        ["decode", "z.npz", "-o", "decoded.npy"],
        ["encode", "images.npy", "-o", "z.npy"],
        ["interpolate", "z.npy", "-o", "path.npy"],
        ["sample", "-n", "2", "--seed", "0", "-o", "sample.npy"],
        ["reconstruct", "images.npy", "-o", "pairs.png"],
        ["interpolate", "images.npy", "-o", "path.png"],
        ["score", "images.npy"],
        ["info"],
    ):
        output = output_of(arguments, tmp_path, "-m", str(bundle))
    assert "2×4×4" in output
    with np.load(tmp_path / "z.npz") as stored:
        assert stored["z_mean"].shape == stored["z_log_var"].shape == (3, 2, 4, 4)
    with vae_runtime.load(bundle, provider="cpu") as vae:
        expected = vae.reconstruct(images)
    np.testing.assert_array_equal(np.load(tmp_path / "decoded.npy"), expected)
    assert np.load(tmp_path / "path.npy").shape == (19, 1, 8, 8)
    assert np.load(tmp_path / "sample.npy").shape == (2, 1, 8, 8)


@pytest.mark.parametrize("kind", LATENT_FORMATS)
def test_every_latent_file_decodes_alike(bundle: Path, tmp_path: Path, kind: str) -> None:
    z = np.random.default_rng(1).standard_normal((3, 2, 4, 4)).astype(np.float32)
    path = tmp_path / f"z.{kind}"
    write_latents(Latents(("a", "b", "c"), z, z), path)
    np.testing.assert_array_equal(read_latents(path, (2, 4, 4)), z)
    _run(bundle, "decode", path, "-o", tmp_path / "decoded.npy")
    with vae_runtime.load(bundle, provider="cpu") as vae:
        np.testing.assert_array_equal(np.load(tmp_path / "decoded.npy"), vae.decode(z))


def test_flattened_latents_of_older_files_are_still_read(bundle: Path, tmp_path: Path) -> None:
    z = np.random.default_rng(1).standard_normal((3, 32)).astype(np.float32)
    np.savez(tmp_path / "z.npz", z_mean=z)
    np.testing.assert_array_equal(
        read_latents(tmp_path / "z.npz", (2, 4, 4)), z.reshape(3, 2, 4, 4)
    )


def test_latents_with_channels_last_are_refused(bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.zeros((3, 4, 4, 2), np.float32))
    done = _run(bundle, "decode", tmp_path / "z.npy", fails=True)
    assert "don't end in the model's (2, 4, 4)" in done


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["grid"], "grid needs latents that are vectors; this model's are 2×4×4 images"),
        (["plot", "images.npy"], "plot needs latents that are vectors"),
        (["explore", "--no-open"], "explore needs latents that are vectors"),
        (["digits", "7"], "exported without labels"),
        (["edit", "images.npy", "--add", "7"], "exported without labels"),
        (["sample", "--label", "7"], "no label"),
    ],
)
def test_what_needs_a_plane_or_labels_says_so(
    bundle: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 1, 8, 8), np.float32))
    paths = [str(tmp_path / item) if "." in item else item for item in arguments]
    assert reason in _run(bundle, *paths, fails=True)


def test_a_learned_concept_edits_images(bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("with", "without"):
        np.save(tmp_path / f"{name}.npy", rng.random((3, 1, 8, 8), np.float32))
    concept = tmp_path / "c.json"
    _run(
        bundle,
        *("learn-concept", "--with", tmp_path / "with.npy"),
        *("--without", tmp_path / "without.npy", "-o", concept),
    )
    _run(bundle, "edit", tmp_path / "with.npy", "--concept", concept, "-o", tmp_path / "e.npy")
    with vae_runtime.load(bundle, provider="cpu") as vae:
        images = np.load(tmp_path / "with.npy")
        direction = vae.learn_concept(images, np.load(tmp_path / "without.npy"))
        expected = vae.edit(images, direction=direction)
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), expected, atol=1e-6)


def _run(bundle: Path, *arguments: str | Path, fails: bool = False) -> str:
    """What a command prints, or the one line by which it `fails`."""
    done = CliRunner().invoke(group, [*map(str, arguments), "-m", str(bundle)])
    assert (done.exit_code != 0) == fails, done.output
    if not fails:
        return done.output
    # `console.run` prints these as one line.
    assert isinstance(done.exception, (VAEError, ValueError))
    return str(done.exception)
