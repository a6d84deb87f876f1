"""Modules as other people write them: what they return, and whether they can be copied."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.toys import dense_vae
from torch import Tensor, nn

import vae_runtime
from vae_export import export_bundle
from vae_export.torch_modules import copied
from vae_runtime.errors import VAEError


class Listed(nn.Module):
    """Returns a list, or a tuple of one, as modules do."""

    def __init__(self, inner: nn.Module, kind: type) -> None:
        super().__init__()
        self.inner = inner
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        value = self.inner(x)
        return self.kind(value if isinstance(value, tuple) else [value])


def test_lists_and_tuples_of_outputs_are_taken(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)
    bundle = export_bundle(
        Listed(encoder, list),
        Listed(decoder, tuple),
        image_shape=(1, 8, 8),
        latent_dim=2,
        output=tmp_path / "x.vae",
    )
    assert bundle.latent_dim == 2


def test_what_cannot_be_copied_is_one_line() -> None:
    module = nn.Linear(1, 1)
    module.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(VAEError, match=r"Linear cannot be copied: .*lock") as caught:
        copied(module)
    assert "\n" not in str(caught.value)


def test_weights_that_are_computed_at_every_call_are_exported(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)
    decoder[0] = torch.nn.utils.weight_norm(decoder[0])
    z = torch.rand(3, 2)
    image = decoder(z).detach()
    export_bundle(encoder, decoder, image_shape=(1, 8, 8), output=tmp_path / "x.vae")
    with vae_runtime.load(tmp_path / "x.vae") as vae:
        np.testing.assert_allclose(vae.decode(z.numpy()), image.numpy(), atol=1e-5)
