import pytest
import torch
from torch import nn

from vae_train.config import NetworksName
from vae_train.model import build_vae
from vae_train.network_size import NetworkSize, network_size


@pytest.mark.parametrize(
    ("networks", "encoder", "decoder"),
    [("reference", 18_690_688, 3_863_552), ("deep", 12_400_000, 3_821_696)],
)
def test_the_networks_cost_what_the_documents_say(
    networks: NetworksName, encoder: int, decoder: int
) -> None:
    model = build_vae((1, 28, 28), 2, seed=0, networks=networks)
    assert network_size(model.encoder, torch.zeros(1, 1, 28, 28)).multiply_accumulates == encoder
    assert network_size(model.decoder, torch.zeros(1, 2)).multiply_accumulates == decoder


def test_a_network_is_counted_by_hand_and_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 16, 7))
    expected = NetworkSize(3 * 5 * 9 + 5 + 80 * 7 + 7, 16 * 3 * 5 * 9 + 80 * 7)
    assert network_size(network, torch.zeros(1, 3, 4, 4)) == expected
    assert network.training
    assert not network[0]._forward_hooks
