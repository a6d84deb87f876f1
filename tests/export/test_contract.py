"""Modules that break the contract are named, with the sub-module at fault and the reason."""

from pathlib import Path

import pytest
import torch
from tests.export.toys import dense_vae
from torch import Tensor, nn

from vae_export import export_bundle
from vae_export.contract import require_contract, run_module
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


class Branching(nn.Module):
    """Looks at how many inputs there are."""

    def forward(self, z: Tensor) -> Tensor:
        return z + 1 if len(z) > 3 else z


class Normalizing(nn.Module):
    """BatchNorm as it is in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, track_running_stats=False)

    def forward(self, image: Tensor) -> Tensor:
        normalized: Tensor = self.norm(image)
        return normalized


class OtherShape(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z if len(z) > 1 else z[:, :1]


class OtherCount(nn.Module):
    def forward(self, z: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return z if len(z) > 1 else (z, z)


class NanAlone(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z if len(z) > 1 else z * torch.nan


MODULES = (
    (Branching(), (2,)),
    (Normalizing(), (1, 4, 4)),
    (OtherShape(), (2,)),
    (OtherCount(), (2,)),
    (NanAlone(), (2,)),
)


@pytest.mark.parametrize(("module", "shape"), MODULES)
def test_a_module_whose_outputs_depend_on_the_batch_is_named(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    inputs = torch.rand((8, *shape), generator=torch.Generator().manual_seed(0))
    with pytest.raises(VAEError, match=r"alone than in a batch of 8.*branch on the batch size"):
        require_contract(module.eval(), inputs, {"out": shape})


def test_a_module_that_changes_its_input_is_named() -> None:
    class InPlace(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.mul_(2).sub_(1)

    with pytest.raises(VAEError, match=r"InPlace changes the input .* such as mul_"):
        run_module(InPlace(), torch.rand(2, 3))


def test_a_module_that_wants_a_label_is_told_to_hold_it_fixed() -> None:
    class Conditional(nn.Module):
        def forward(self, z: Tensor, label: Tensor) -> Tensor:
            return z + label

    with pytest.raises(VAEError, match=r"argument: 'label'; .* the rest, such as a label, is fix"):
        run_module(Conditional(), torch.rand(2, 3))
