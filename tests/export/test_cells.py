"""An encoder that chooses a cell, as a portable graph."""

import numpy as np
import onnx
import pytest
import torch

from vae_export.graphs import export_graph
from vae_export.ort import open_session
from vae_export.parity import BATCHES
from vae_runtime.arrays import UInt8
from vae_train.model import CellEncoder, build_vae

NOTES = {"producer": "vae-edge", "latent_dim": "2"}
NEW_OPS = {"ArgMax", "GatherElements"}


@pytest.fixture(scope="module")
def encoder(digits: UInt8) -> CellEncoder:
    """One with random weights that tells images apart."""
    encoder = build_vae((1, 28, 28), 2, seed=0, networks="cells").encoder
    assert isinstance(encoder, CellEncoder)
    head = encoder.cell_head.linear
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        features = encoder.body(torch.from_numpy(digits / np.float32(255)))
        head.weight.copy_(torch.randn(head.weight.shape, generator=rng))
        head.bias.copy_(-head.weight @ features.mean(0))
    encoder.chooses_cells = True
    return encoder.eval()


@pytest.fixture(scope="module")
def graph(encoder: CellEncoder) -> onnx.ModelProto:
    return export_graph(encoder, (1, 28, 28), "image", ["z_mean", "z_log_var"], NOTES)


@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_size_agrees_with_torch(
    encoder: CellEncoder, graph: onnx.ModelProto, digits: UInt8, batch: int
) -> None:
    images = digits[:batch] / np.float32(255)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(images))
    found = open_session(graph.SerializeToString()).run(["z_mean", "z_log_var"], {"image": images})
    for value, want in zip(found, expected, strict=True):
        assert value.shape == (batch, 2)
        np.testing.assert_allclose(value, want.numpy(), atol=1e-5)


def test_images_are_put_into_different_cells(encoder: CellEncoder, digits: UInt8) -> None:
    with torch.no_grad():
        logits = encoder.codes(torch.from_numpy(digits[:64] / np.float32(255))).logits
    assert len(set(logits.argmax(1).tolist())) > 3


def test_the_choice_is_made_by_standard_operators(graph: onnx.ModelProto) -> None:
    names = {node.op_type for node in graph.graph.node}
    assert names >= NEW_OPS
    assert {node.domain for node in graph.graph.node} == {""}


def test_the_head_for_the_joint_phase_is_left_out(graph: onnx.ModelProto) -> None:
    shapes = [tuple(tensor.dims) for tensor in graph.graph.initializer]
    assert (770, 64) in shapes or (64, 770) in shapes
    assert (2, 64) not in shapes
    assert (64, 2) not in shapes
