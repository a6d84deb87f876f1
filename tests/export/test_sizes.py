"""Bundles whose images have any size: networks of convolutions, from torch to the commands."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps
from tests.runtime.helpers import output_of
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle
from vae_runtime.bundle import read_bundle
from vae_runtime.cli import group
from vae_runtime.console import run
from vae_runtime.errors import BundleError, VAEError

OneLine = Callable[..., tuple[int, str]]


class Block(nn.Module):
    """The residual block of diffusers' AutoencoderTiny."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


class Tiny(nn.Module):
    """AutoencoderTiny's layers, with GroupNorm: latents (2, H/4, W/4) of images (3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            Block(8),
            nn.Conv2d(8, 8, 3, padding=1, stride=2, bias=False),
            nn.GroupNorm(2, 8),
            nn.Conv2d(8, 4, 3, padding=1, stride=2),
        )
        self.up = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1),
            Block(8),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 8, 3, padding=1, bias=False),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.down(image).chunk(2, 1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self.up(3 * torch.tanh(z / 3))
        return image


class Placed(Tiny):
    """Adds to each latent what was learned of its place, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2, 4, 4))

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = super().encode(image)
        return mean + self.place, log_var


class Dense(nn.Module):
    """Latents that are vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(768, 8))
        self.decoder = nn.Sequential(nn.Linear(4, 768), nn.Sigmoid(), nn.Unflatten(1, (3, 16, 16)))

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(image).chunk(2, 1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self.decoder(z)
        return image


def _export(vae: nn.Module, output: Path, findings: list[str] | None = None) -> None:
    lines: list[str] = [] if findings is None else findings
    export_bundle(
        vae,
        image_shape=(3, 16, 16),
        output=output,
        dynamic_size=True,
        images=np.random.default_rng(0).random((20, 3, 16, 16), np.float32),
        precisions=["fp32", "int8"] if findings is not None else ["fp32"],
        on_finding=lines.append,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sizes") / "t.vae"
    _export(Tiny(), path)
    return path


def test_the_bundle_says_so_and_the_proof_covers_three_sizes(bundle: Path) -> None:
    values = json.loads((bundle / "bundle.json").read_text())
    assert (values["schema"], values["dynamic_size"]) == (2, True)
    for part in ("encoder", "decoder"):
        report = values["variants"][0]["parity"][part]
        assert [item["size"] for item in report["sizes"]] == [[32, 24], [8, 20]]
        assert all(0 < item["largest"] < 1e-5 for item in report["sizes"])
    assert read_bundle(bundle).dynamic_size


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), count=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_images_and_latents_of_any_size_are_those_of_torch(
    bundle: Path, rows: int, columns: int, count: int
) -> None:
    images = np.random.default_rng(0).random((count, 3, 4 * rows, 4 * columns), np.float32)
    torch_vae = Tiny().eval()
    with vae_runtime.load(bundle, provider="cpu") as vae, torch.no_grad():
        z_mean, z_log_var = vae.encode(images)
        expected, expected_log_var = torch_vae.encode(torch.from_numpy(images))
        assert z_mean.shape == (count, 2, rows, columns)
        np.testing.assert_allclose(z_mean, expected, atol=1e-5)
        np.testing.assert_allclose(z_log_var, expected_log_var, atol=1e-5)
        decoded = vae.decode(z_mean)
        np.testing.assert_allclose(decoded, torch_vae.decode(expected), atol=1e-5)
        np.testing.assert_array_equal(vae.reconstruct(images), decoded)


def test_a_model_of_another_size_is_a_whole_model(bundle: Path) -> None:
    with vae_runtime.load(bundle, provider="cpu") as vae:
        vae.check()
        other = vae.of_size(24, 32)
        assert (other.image_shape, other.latent_shape) == ((3, 24, 32), (2, 6, 8))
        assert other.sample(2, seed=0).shape == (2, 3, 24, 32)
        assert other.score(other.sample(2, seed=0)).shape == (2,)
        assert pickle.loads(pickle.dumps(other)).image_shape == (3, 24, 32)
        assert vae.of_size(16, 16) is vae
        assert vae.of_size(24, 32) is other


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((18, 16), "images of 18×16 pixels: this model takes multiples of 4×4"),
        ((2048, 1024), "more than the 1048576 that are computed at once"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    bundle: Path, size: tuple[int, int], reason: str
) -> None:
    with vae_runtime.load(bundle, provider="cpu") as vae:
        with pytest.raises(ValueError, match=reason):
            vae.of_size(*size)
        with pytest.raises(ValueError, match=reason):
            vae.encode(np.zeros((1, 3, *size), np.float32))


def test_a_bundle_of_one_size_takes_no_other() -> None:
    with vae_runtime.load(provider="cpu") as vae, pytest.raises(ValueError, match="28×28, not 8×8"):
        vae.of_size(8, 8)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Dense, r"--dynamic-size: Dense.encode gives latents that are vectors \(4\)"),
        (Placed, r"--dynamic-size: these networks don't take images of 32×24.*must match"),
    ],
)
def test_networks_of_one_size_are_named(tmp_path: Path, make: type[nn.Module], reason: str) -> None:
    with pytest.raises(VAEError, match=reason):
        _export(make(), tmp_path / "x.vae")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_int8_is_left_out_with_a_line(tmp_path: Path) -> None:
    findings: list[str] = []
    _export(Tiny(), tmp_path / "x.vae", findings)
    assert any("int8: graphs of a dynamic size have none" in line for line in findings)


def test_a_manifest_that_lies_about_its_graphs_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "c.vae")
    values = json.loads((copy / "bundle.json").read_text())
    del values["dynamic_size"]
    (copy / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"should be float32 \(batch, 3, 16, 16\)"):
        vae_runtime.load(copy, provider="cpu").verify()


def test_commands_take_a_size(bundle: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((2, 3, 24, 32), np.float32)
    np.save(tmp_path / "images.npy", images)
    for arguments in (
        ["encode", "images.npy", "-o", "z.npz"],
        ["decode", "z.npz", "-o", "decoded.npy"],
        ["reconstruct", "images.npy", "-o", "rebuilt.npy"],
    ):
        output_of(arguments, tmp_path, "--size", "24,32", "-m", str(bundle))
    with vae_runtime.load(bundle, provider="cpu") as vae:
        expected = vae.reconstruct(images)
    np.testing.assert_array_equal(np.load(tmp_path / "decoded.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "rebuilt.npy"), expected)


def _photograph(path: Path, height: int, width: int, orientation: int = 1) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("orientation", [1, 6])
def test_pictures_in_their_own_size_are_cut_to_the_stride(
    bundle: Path, tmp_path: Path, orientation: int
) -> None:
    _photograph(tmp_path / "photo.png", 23, 32, orientation)
    run = ["encode", "photo.png", "-o", "z.npz", "--size", "own", "-m", str(bundle)]
    output_of(run, tmp_path)
    with Image.open(tmp_path / "photo.png") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    height, width, _ = upright.shape
    top, left = height % 4 // 2, width % 4 // 2
    inner = upright[top : top + height // 4 * 4, left : left + width // 4 * 4]
    with vae_runtime.load(bundle, provider="cpu") as vae:
        expected, _ = vae.encode(inner.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    np.testing.assert_allclose(np.load(tmp_path / "z.npz")["z_mean"], expected, atol=1e-5)


def test_arrays_in_their_own_size_need_no_numbers(bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 3, 24, 32), np.float32))
    run = ["reconstruct", "images.npy", "-o", "r.npy", "--size", "own", "-m", str(bundle)]
    output_of(run, tmp_path)
    assert np.load(tmp_path / "r.npy").shape == (2, 3, 24, 32)


def test_pictures_of_several_sizes_are_named(
    bundle: Path, tmp_path: Path, one_line: OneLine
) -> None:
    _photograph(tmp_path / "a.png", 24, 32)
    _photograph(tmp_path / "b.png", 25, 32)
    _photograph(tmp_path / "c.png", 40, 32)
    command = ["reconstruct", tmp_path, "--size", "own", "-m", bundle, "-o", tmp_path / "r.png"]
    status, line = one_line(lambda: run(group, "vae-run"), *command)
    assert status == 1
    # b.png has the same size once it is cut.
    assert "c.png: is 40×32 pixels, " in line
    assert "a.png another size" in line
    assert not (tmp_path / "r.png").exists()


def test_a_damaged_file_is_left_out_and_a_limit_on_pixels_counts(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("no picture")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "b.jpg")
    command = [sys.executable, "-m", "vae_runtime", "reconstruct", "photos", "-m", str(bundle)]
    # The JPEG is decoded at half its size, which is its own then.
    command += ["--size", "own", "--max-pixels", "2000", "--force", "-o", "r.npy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert np.load(tmp_path / "r.npy").shape == (1, 3, 32, 48)
    assert "photos/a.png: not an image" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run([*command, "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "Error: photos/a.png: not an image\n")


def test_info_says_which_sizes_a_bundle_takes(bundle: Path, tmp_path: Path) -> None:
    printed = output_of(["info"], tmp_path, "-m", str(bundle))
    assert "sizes       multiples of 4×4, at most 1048576 pixels (--size)" in printed
    assert "latents     2×4×4" in printed
    values = json.loads(output_of(["info", "--json"], tmp_path, "-m", str(bundle)))
    assert (values["latent_shape"], values["dynamic_size"]) == ([2, 4, 4], True)
