"""`vae-export`: from a real checkpoint to a bundle, whole or not at all, and one line for what goes wrong."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

import vae_runtime
from vae_export.__main__ import main
from vae_export.export import _require_budget, export_checkpoint
from vae_runtime.bundle import Bundle, GraphFile, Variant, read_bundle
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint

FACTORY = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(64, 6), nn.Linear(3, 64)
    def encode(self, x):
        return self.inner(x.flatten(1)).chunk(2, 1)
    def decode(self, z):
        return self.outer(z).sigmoid().unflatten(1, (1, 8, 8))

def make():
    return Small()

def number():
    return 7
"""


def run(*arguments, cwd=None, python=()):
    result = subprocess.run(
        [sys.executable, *python, "-m", "vae_export", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture(scope="module")
def bundle_path(checkpoint, tmp_path_factory):
    target, _ = export_checkpoint(checkpoint, tmp_path_factory.mktemp("bundle") / "digits.vae")
    return target


def test_the_command_writes_a_bundle_beside_the_checkpoint(checkpoint, bundle_path, tmp_path):
    copy = tmp_path / "model.pt"
    copy.write_bytes(checkpoint.read_bytes())
    result = run(copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert "z_mean" in result.stdout
    assert read_bundle(tmp_path / "model.vae").latent_dim == 2
    again = run(copy)
    assert again.returncode == 1
    assert again.stderr.startswith("Error: ")
    assert again.stderr.count("\n") == 1
    export_checkpoint(copy, force=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.pt", "model.vae"}
    for name in ("encoder.onnx", "decoder.onnx"):
        assert (tmp_path / "model.vae" / name).read_bytes() == (bundle_path / name).read_bytes()


def test_the_bundle_carries_what_the_checkpoint_knows(checkpoint, bundle_path):
    saved = load_checkpoint(checkpoint)
    values = json.loads((bundle_path / "bundle.json").read_text())
    assert values["schema"] == 1
    assert set(values["labels"]) == set(saved.label_statistics)
    assert values["training"]["preset"] == "default"
    assert set(values["score_quantiles"]) == {"0.001", "0.01", "0.05"}
    assert values["variants"][0]["providers"] == ["*"]
    notes = {p.key: p.value for p in onnx.load(bundle_path / "decoder.onnx").metadata_props}
    assert notes["latent_dim"] == "2"
    assert notes["image_shape"] == "1,28,28"
    assert notes["precision"] == "fp32"
    assert len(notes["checkpoint_sha256"]) == 64


def test_check_npz_holds_what_torch_gave(checkpoint, bundle_path):
    saved = load_checkpoint(checkpoint).model
    with np.load(bundle_path / "check.npz", allow_pickle=False) as arrays, torch.no_grad():
        assert arrays["images"].shape == (8, 1, 28, 28)
        assert arrays["latents"].shape == (8, 2)
        z_mean, z_log_var = saved.encoder(torch.from_numpy(arrays["images"]))
        np.testing.assert_allclose(arrays["z_mean"], z_mean, atol=1e-6)
        np.testing.assert_allclose(arrays["z_log_var"], z_log_var, atol=1e-6)
        np.testing.assert_allclose(arrays["decoded"], saved.decoder(torch.from_numpy(arrays["latents"])), atol=1e-6)


def test_score_quantiles_are_the_runtimes_own_scores(checkpoint, bundle_path):
    images = load_checkpoint(checkpoint).heldout_images
    with vae_runtime.load(bundle_path, provider="cpu") as vae:
        scores = vae.score(images)
        for quantile, value in vae.variant.score_quantiles.items():
            assert value == pytest.approx(np.quantile(scores, float(quantile)), abs=1e-3)


def test_a_book_checkpoint_samples_with_its_own_deviation(book_checkpoint, tmp_path):
    target, _ = export_checkpoint(book_checkpoint, tmp_path / "book.vae")
    saved = load_checkpoint(book_checkpoint)
    with vae_runtime.load(target, provider="cpu") as vae, torch.no_grad():
        images = saved.heldout_images[:16]
        expected = saved.model.encoder(torch.from_numpy(images).float() / 255)[1].numpy()
        np.testing.assert_allclose(vae.encode(images)[1], 2 * expected, atol=1e-5)


def test_int8_stays_inside_the_budget_and_is_smaller(checkpoint, tmp_path):
    target, bundle = export_checkpoint(checkpoint, tmp_path / "small.vae", precisions=["fp32", "int8"])
    plain, int8 = bundle.variants[0], next(v for v in bundle.variants if v.precision == "int8")
    assert int8.elbo_change is not None
    assert int8.elbo_change >= -0.3
    assert int8.encoder.bytes < 0.4 * plain.encoder.bytes
    images = load_checkpoint(checkpoint).heldout_images
    with vae_runtime.load(target, provider="cpu", precision="int8") as vae:
        vae.check()
        whole = vae.decode(vae.encode(images[:37])[0])
        assert np.concatenate([vae.decode(vae.encode(i[None])[0]) for i in images[:37]]).tobytes() == whole.tobytes()
    for graph in (int8.encoder, int8.decoder):
        model = onnx.load(target / graph.file)
        onnx.checker.check_model(model, full_check=True)
        assert {p.key: p.value for p in model.metadata_props}["precision"] == "int8"


def test_a_variant_beyond_the_budget_is_refused_with_its_figure():
    graph = GraphFile("a.onnx", "", 0)
    variants = [
        Variant("fp32", "fp32", ("*",), graph, graph, {}, 0.0),
        Variant("int8", "int8", (), graph, graph, {}, -0.5),
    ]
    _require_budget(Bundle(2, (1, 28, 28), (variants[0], replace(variants[1], elbo_change=-0.29))))
    with pytest.raises(VAEError, match="int8 loses 0.50 nats of ELBO .* more than the 0.3 allowed"):
        _require_budget(Bundle(2, (1, 28, 28), tuple(variants)))


def test_options_of_a_factory_are_refused_for_a_checkpoint(checkpoint, one_line):
    status, line = one_line(main, checkpoint, "--latent-dim", 3)
    assert (status, "--latent-dim are for a factory" in line) == (2, True)


def test_what_is_not_a_bundle_is_never_replaced(checkpoint, tmp_path):
    copy = tmp_path / "model.pt"
    copy.write_bytes(checkpoint.read_bytes())
    other = tmp_path / "notes"
    other.mkdir()
    (other / "keep").write_text("mine")
    with pytest.raises(VAEError, match="not a bundle"):
        export_checkpoint(copy, other, force=True)
    assert (other / "keep").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "notes"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"PK not really",
        b"\x80\x04K\x01.",
    ],
)
def test_a_bad_checkpoint_is_one_line(tmp_path, one_line, content):
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    assert one_line(main, path)[0] == 1
    assert not (tmp_path / "model.vae").exists()


def test_a_truncated_checkpoint_is_one_line(checkpoint, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(checkpoint.read_bytes()[:-5000])
    with pytest.raises(VAEError, match="model.pt"):
        export_checkpoint(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_a_factory_with_weights(tmp_path):
    (tmp_path / "mine.py").write_text(FACTORY)
    state = {"inner.weight": torch.randn(6, 64), "inner.bias": torch.zeros(6),
             "outer.weight": torch.randn(64, 3), "outer.bias": torch.zeros(64)}  # fmt: skip
    torch.save(state, tmp_path / "weights.pt")
    shape = ["--image-shape", "1,8,8", "--latent-dim", "3"]
    done = run("mine:make", "--weights", "weights.pt", *shape, "-o", "m.vae", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    z = np.ones((1, 3), np.float32)
    with vae_runtime.load(tmp_path / "m.vae", provider="cpu") as vae:
        expected = torch.sigmoid(torch.from_numpy(z) @ state["outer.weight"].T).numpy()
        np.testing.assert_allclose(vae.decode(z).reshape(1, -1), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["mine:make"], 2),
        (["mine:make", "--image-shape", "1,8", "--latent-dim", "3"], 2),
        (["mine:make", "--image-shape", "1,9,9", "--latent-dim", "3"], 1),
        (["mine:make", "--image-shape", "1,8,8", "--latent-dim", "4"], 1),
        (["mine:number", "--image-shape", "1,8,8", "--latent-dim", "3"], 1),
        (["mine:none", "--image-shape", "1,8,8", "--latent-dim", "3"], 1),
        (["nowhere:make", "--image-shape", "1,8,8", "--latent-dim", "3"], 1),
        (["mine:make", "--weights", "none.pt", "--image-shape", "1,8,8", "--latent-dim", "3"], 1),
    ],
    ids=str,
)
def test_a_factory_that_does_not_fit_is_one_line(tmp_path, one_line, monkeypatch, arguments, status):
    (tmp_path / "mine.py").write_text(FACTORY)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert one_line(main, *arguments)[0] == status
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".vae"] == []


def test_without_torch_it_says_what_to_install(tmp_path):
    blocked = tmp_path / "torch.py"
    blocked.write_text("raise ModuleNotFoundError('no torch', name='torch')")
    result = run("model.pt", cwd=tmp_path)
    assert result.returncode == 1
    assert 'pip install "vae-edge[export]"' in result.stderr
    assert result.stderr.count("\n") == 1
