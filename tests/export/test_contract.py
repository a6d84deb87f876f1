"""Modules that break the contract are named, with the sub-module at fault and the reason."""

from pathlib import Path

import pytest
import torch
from tests.export.toys import dense_vae
from torch import Tensor, nn

from vae_export import export_bundle
from vae_export.contract import require_contract
from vae_runtime.errors import VAEError


def test_the_sub_module_at_fault_is_named(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)
    decoder[2] = nn.Linear(63, 64)
    expected = "Sequential, in its 2, fails on an input of 4×2: mat1 and mat2"
    with pytest.raises(VAEError, match=expected) as caught:
        export_bundle(
            encoder, decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae"
        )
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_double_precision_output_is_refused_with_its_name(tmp_path: Path) -> None:
    encoder, decoder = dense_vae((1, 8, 8), 2)

    class Double(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            image: Tensor = decoder(z)
            return image.double()

    with pytest.raises(VAEError, match=r"Double: image should be float32 .*not float64"):
        export_bundle(
            encoder, Double(), image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae"
        )


def test_checking_a_module_leaves_no_hooks_in_it() -> None:
    _, decoder = dense_vae((1, 8, 8), 2)
    require_contract(decoder, torch.zeros(3, 2), {"image": (1, 8, 8)})
    with pytest.raises(VAEError, match="in its 0, fails"):
        require_contract(decoder, torch.zeros(3, 5), {"image": (1, 8, 8)})
    for module in decoder.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
