"""What counts as faster."""

import pytest
import torch
from tests.export.toys import traced_decoder
from torch import nn

from vae_export.int8.worth import is_faster_in_int8
from vae_export.speed import is_faster

Z = torch.randn(16, 2, generator=torch.Generator().manual_seed(0)).numpy()


def test_a_graph_is_not_faster_than_itself() -> None:
    model = traced_decoder(nn.Conv2d(16, 64, 3, padding=1), nn.Conv2d(64, 1, 3), nn.Sigmoid())
    model_bytes = model.SerializeToString()
    assert not is_faster(model_bytes, model_bytes, Z)


def test_int8_is_not_timed_where_auto_would_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_export.int8.worth.instruction_sets", set)
    # Neither of these is a graph that could be run.
    assert is_faster_in_int8(b"", b"", Z)
