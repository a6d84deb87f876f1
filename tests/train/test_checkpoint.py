from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_runtime.errors import VAEError
from vae_train.checkpoint import RunState, load_checkpoint, load_contents, save_contents
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.loop import Trainer


@pytest.fixture
def path(config: TrainConfig, data: Dataset, tmp_path: Path) -> Path:
    target = tmp_path / "model.pt"
    Trainer(config, data).save(target)
    return target


def test_a_checkpoint_gives_back_networks_images_and_statistics(
    path: Path, config: TrainConfig, data: Dataset
) -> None:
    saved = load_checkpoint(path)
    expected = Trainer(config, data).model
    z = torch.randn(3, 2)
    torch.testing.assert_close(saved.model.decoder(z), expected.decoder(z))
    assert saved.config == config
    assert not saved.model.training
    np.testing.assert_array_equal(saved.heldout_images, data.test.images)
    np.testing.assert_array_equal(saved.train_labels, data.train.labels)
    assert sum(label["count"] for label in saved.label_statistics.values()) == len(
        data.train.labels
    )


@pytest.mark.parametrize("size", [0, 1, 100, 5000, -1])
def test_a_truncated_checkpoint_is_one_clear_error(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        VAEError, match=r"model.pt: not a checkpoint of vae-train, or a damaged one"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(40)])
def test_a_file_that_is_no_checkpoint_is_one_clear_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(VAEError, match=r"model.pt: not a checkpoint"):
        load_checkpoint(path)


def test_a_foreign_checkpoint_is_one_clear_error(path: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(3)}}, path)
    with pytest.raises(VAEError, match="not a checkpoint of vae-train"):
        load_checkpoint(path)
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(VAEError, match="not a checkpoint of vae-train"):
        load_checkpoint(path)


def test_weights_that_do_not_fit_the_configuration_are_an_error(
    path: Path, config: TrainConfig
) -> None:
    contents = load_contents(path)
    save_contents(path, contents | {"config": replace(config, latent_dim=3).to_dict()})
    with pytest.raises(VAEError, match="damaged"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(VAEError, match="absent.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "absent.pt")


def test_a_name_of_another_version_is_an_error_that_lists_those_of_this_one(path: Path) -> None:
    contents = load_contents(path)
    contents["config"]["optimizer"] = "lion"
    save_contents(path, contents)
    with pytest.raises(VAEError, match="another version: optimizer 'lion' is not one of muon"):
        load_checkpoint(path)


def test_the_run_in_a_file_is_written_back_to_the_same_bytes(path: Path, tmp_path: Path) -> None:
    state = RunState.from_contents(load_contents(path))
    again = tmp_path / "again.pt"
    save_contents(again, state.to_contents())
    assert again.read_bytes() == path.read_bytes()


def test_a_file_from_before_sources_were_kept_has_none(path: Path, data: Dataset) -> None:
    assert load_checkpoint(path).source == data.source
    contents = load_contents(path)
    del contents["source"]
    save_contents(path, contents)
    assert load_checkpoint(path).source is None


def test_the_keys_of_the_file_are_those_of_the_format_in_their_order(path: Path) -> None:
    assert list(load_contents(path)) == [
        "format",
        "config",
        "data",
        "source",
        "weights",
        "optimizer",
        "noise",
        "position",
        "history",
        "table",
        "density",
        "label_statistics",
        "label_names",
        "images",
        "training",
    ]
