"""A graph that isn't proven equal to torch is never written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.export.toys import dense_vae
from torch import Tensor, nn

from vae_export import export_bundle
from vae_export.parity import (
    BATCHES,
    SMALLEST_BATCHES,
    Difference,
    affordable_batches,
    require,
)
from vae_runtime.errors import VAEError


class DifferentWhenExported(nn.Module):
    """Computes something else while it is exported."""

    def forward(self, z: Tensor) -> Tensor:
        image = z.sigmoid().reshape(-1, 1, 1, 2)
        return image / 2 if torch.compiler.is_exporting() else image


class InFloat32(nn.Module):
    """Insists on float32."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.inner(x.float())
        return value


@pytest.mark.slow
def test_a_graph_that_differs_from_torch_is_never_written(tmp_path: Path) -> None:
    encoder, _ = dense_vae((1, 1, 2), 2)
    with pytest.raises(VAEError, match=r"image differs from torch by 0.49.*nothing was written"):
        export_bundle(
            encoder,
            DifferentWhenExported(),
            image_shape=(1, 1, 2),
            latent_dim=2,
            output=tmp_path / "x.vae",
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_module_that_insists_on_float32_is_compared_in_float32(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)
    bundle = export_bundle(
        InFloat32(encoder),
        InFloat32(decoder),
        image_shape=(1, 8, 8),
        latent_dim=2,
        output=tmp_path / "x.vae",
    )
    assert bundle.variants[0].parity["decoder"]["largest"] < 1e-6


def test_a_difference_that_is_no_number_is_refused() -> None:
    difference = Difference(largest=float("nan"), mean=0.0, torch=0.0, magnitude=1.0)
    with pytest.raises(VAEError, match="image differs from torch by nan"):
        require({"image": difference}, tolerance=1e-5)


def test_large_networks_are_proven_with_the_smallest_batches_alone() -> None:
    small = nn.Conv2d(1, 8, 3, padding=1)
    large = nn.Conv2d(16, 64, 9, padding=4)
    images = np.zeros((1, 16, 128, 128), np.float32)
    assert affordable_batches(small, images[:, :1, :28, :28]) == BATCHES
    # 1.4 thousand million products for an image.
    assert affordable_batches(large, images) == SMALLEST_BATCHES


class Attention(nn.Module):
    """Of a sequence with itself."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_products_of_attention_are_counted_too() -> None:
    sequence = np.zeros((1, 1, 2048, 512), np.float32)
    # 4.3 thousand million products.
    assert affordable_batches(Attention(), sequence) == SMALLEST_BATCHES
    layer = nn.TransformerEncoderLayer(64, 2, 128, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1).eval()
    # 0.6 thousand million.
    assert affordable_batches(encoder, sequence[0, :, :, :64]) == BATCHES[:4]
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_network_of_nothing_that_is_counted_takes_all_batches() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.LSTM(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            states: Tensor = self.inner(x)[0]
            return states

    assert affordable_batches(Recurrent(), np.zeros((1, 3, 4), np.float32)) == BATCHES
