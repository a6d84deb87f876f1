"""Graphs of one batch alone: every size a number, run by name, never by themselves."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.export.processes import run_export
from tests.export.toys import batch_norm, convolutional_vae, dense_vae, group_norm, nearest
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle
from vae_runtime.bundle import read_bundle
from vae_runtime.errors import BundleError, VAEError

SHAPE = (1, 16, 16)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with graphs of three images each."""
    torch.manual_seed(0)
    encoder, decoder = convolutional_vae(SHAPE, 3, batch_norm, nearest)
    target = tmp_path_factory.mktemp("fixed") / "x.vae"
    export_bundle(encoder, decoder, image_shape=SHAPE, output=target, batch=3)
    return target


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.slow
def test_every_size_in_the_graph_is_a_number(fixed: Path, part: str) -> None:
    model = onnx.load(fixed / f"{part}.batch3.onnx")
    graph = model.graph
    onnx.checker.check_model(model, full_check=True)
    values = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    for node in graph.node:
        for name in node.output:
            sizes = values[name].type.tensor_type.shape.dim
            assert all(size.WhichOneof("value") == "dim_value" for size in sizes), name
    assert not {node.op_type for node in graph.node} & {"Shape", "Gather", "ConstantOfShape"}
    assert all(value.type.tensor_type.shape.dim[0].dim_value == 3 for value in graph.input)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 50])
def test_any_number_of_images_runs_on_it_as_on_the_portable_graphs(fixed: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    z = rng.standard_normal((count, 3))
    images = rng.random((count, *SHAPE), np.float32)
    with (
        vae_runtime.VAE(fixed, "cpu", variant="batch3", threads=2) as three,
        vae_runtime.VAE(fixed, "cpu", variant="fp32") as any_batch,
    ):
        assert three.info["variant"] == "batch3"
        np.testing.assert_allclose(three.decode(z), any_batch.decode(z), atol=1e-6)
        for found, expected in zip(three.encode(images), any_batch.encode(images), strict=True):
            assert found.shape == (count, 3)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        three.check()
        three.verify()


def test_it_is_described_and_never_taken_unasked(fixed: Path) -> None:
    bundle = read_bundle(fixed)
    variant = bundle.variant_named("batch3")
    assert variant.batch == 3
    assert "batches of 3" in variant.summary()
    for part in ("encoder", "decoder"):
        assert variant.parity[part]["batches"] == [3]
        assert 0 < variant.parity[part]["largest"] < 1e-5
    others = [variant for variant in bundle.variants if variant.name != "batch3"]
    assert all(other.batch is None for other in others)
    for conditions in (frozenset[str](), frozenset({"blocked_layouts", "plain_layouts"})):
        for provider in ("CPUExecutionProvider", "CUDAExecutionProvider"):
            assert bundle.variant("fp32", provider, conditions).name != "batch3"


def test_onnxruntime_itself_refuses_any_other_batch(fixed: Path) -> None:
    session = onnxruntime.InferenceSession(fixed / "decoder.batch3.onnx")
    assert session.get_inputs()[0].shape == [3, 3]
    session.run(None, {"z": np.zeros((3, 3), np.float32)})
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception, match="dimensions"):
        session.run(None, {"z": np.zeros((2, 3), np.float32)}, options)


def test_a_graph_of_another_batch_than_promised_is_refused(fixed: Path) -> None:
    manifest = fixed / "bundle.json"
    text = manifest.read_text("utf-8")
    try:
        manifest.write_text(text.replace('"batch": 3', '"batch": 4'), "utf-8")
        vae = vae_runtime.VAE(fixed, "cpu", variant="batch3")
        with pytest.raises(BundleError, match=r"should be float32 \(4, .*it has image \[3,"):
            vae.verify()
    finally:
        manifest.write_text(text, "utf-8")


@pytest.mark.slow
def test_normalization_over_groups_has_fixed_shapes_too(tmp_path: Path) -> None:
    encoder, decoder = convolutional_vae(SHAPE, 3, group_norm, nearest)
    target = tmp_path / "x.vae"
    export_bundle(encoder, decoder, image_shape=SHAPE, output=target, batch=1)
    with vae_runtime.VAE(target, "cpu", variant="batch1") as vae:
        vae.check()


@pytest.mark.parametrize("batch", [0, -1, 257])
def test_a_batch_beyond_what_is_proven_is_refused(tmp_path: Path, batch: int) -> None:
    target = tmp_path / "x.vae"
    with pytest.raises(VAEError, match=f"between 1 and 256, not {batch}"):
        export_bundle(*dense_vae(SHAPE, 2), image_shape=SHAPE, output=target, batch=batch)
    assert not list(tmp_path.iterdir())


def test_a_size_that_is_open_and_a_batch_that_is_fixed_exclude_each_other(tmp_path: Path) -> None:
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1))
    with pytest.raises(VAEError, match="write two bundles"):
        export_bundle(
            Halves(encoder),
            nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2, 1, 1), nn.Sigmoid()),
            image_shape=SHAPE,
            output=tmp_path / "x.vae",
            dynamic_size=True,
            batch=2,
        )


class Halves(nn.Module):
    """An encoder whose channels are half means, half log variances."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        z_mean, z_log_var = self.body(image).chunk(2, dim=1)
        return z_mean, z_log_var


@pytest.mark.slow
def test_the_command_writes_it_and_prints_its_parity(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "phone.vae"
    result = run_export(checkpoint, "--batch", 1, "-o", target)
    assert (result.returncode, result.stderr) == (0, "")
    assert "batch1   fp32 for *" in result.stdout
    assert result.stdout.count("batch1   ") == 4
    names = [variant.name for variant in read_bundle(target).variants]
    assert {"fp32", "batch1"} <= set(names)
    for part in ("encoder", "decoder"):
        assert (target / f"{part}.batch1.onnx").is_file()
