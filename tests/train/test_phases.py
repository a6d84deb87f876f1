"""What is learned after the joint phase, and that each phase goes on where it was stopped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vae_runtime.errors import VAEError
from vae_train import phases
from vae_train.checkpoint import load_checkpoint, load_state
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset, load_dataset
from vae_train.distributed import ProcessGroup
from vae_train.exact_posterior import exact_log_likelihood
from vae_train.loop import Trainer, never, train

CELLS = 16 * 16


@pytest.fixture
def exact() -> TrainConfig:
    """One epoch of each phase."""
    return replace(PRESETS["exact"], epochs=1, decoder_epochs=1, encoder_epochs=1)


@pytest.fixture
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of 256 points that serve for four steps."""
    monkeypatch.setattr(phases, "DECODER_CELLS", CELLS)
    monkeypatch.setattr(phases, "ENCODER_CELLS", CELLS)
    monkeypatch.setattr(phases, "DECODER_TABLE_STEPS", 4)
    monkeypatch.setattr(phases, "ENCODER_TABLE_STEPS", 4)


class Interruption:
    """True after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(before: list[torch.Tensor], module: torch.nn.Module) -> bool:
    pairs = zip(before, module.parameters(), strict=True)
    return all(torch.equal(old, new) for old, new in pairs)


@pytest.mark.slow
@pytest.mark.usefixtures("small_grids")
def test_preset_exact_resumes_from_each_phase_to_the_bytes_of_an_uninterrupted_run(
    exact: TrainConfig, sample_folder: Path, tmp_path: Path
) -> None:
    """Five steps an epoch, and a table for four: some tables outlive an interruption."""
    data = load_dataset(str(sample_folder), limit=300)
    config = replace(exact, shift=1)
    whole = tmp_path / "whole.pt"
    pieces = tmp_path / "pieces.pt"
    assert train(Trainer(config, data), whole)
    assert not train(Trainer(config, data), pieces, Interruption(2))
    stopped_in = set()
    finished = False
    while not finished:
        trainer = Trainer(config, data)
        trainer.resume(pieces)
        if trainer.position.step:
            stopped_in.add(trainer.phase.name)
        finished = train(trainer, pieces, Interruption(3))
    assert stopped_in == {"joint", "decoder", "encoder"}
    assert pieces.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("small_grids")
def test_each_phase_changes_its_own_network_and_has_its_own_optimizer(
    exact: TrainConfig, data: Dataset
) -> None:
    trainer = Trainer(exact, data)
    model = trainer.model
    trainer.run_epoch(never)
    encoder = weights(model.encoder)
    decoder = weights(model.decoder)
    optimizer = trainer.optimizer
    assert trainer.phase.name == "decoder"
    trainer.run_epoch(never)
    assert same(encoder, model.encoder)
    assert not same(decoder, model.decoder)
    decoder = weights(model.decoder)
    assert trainer.phase.name == "encoder"
    assert trainer.optimizer is not optimizer
    trainer.run_epoch(never)
    assert not same(encoder, model.encoder)
    assert same(decoder, model.decoder)
    assert trainer.finished
    assert [row["epoch"] for row in trainer.history] == [1, 2, 3]


@pytest.mark.usefixtures("small_grids")
@pytest.mark.slow
def test_an_epoch_of_the_decoder_raises_exact_log_p_of_x(exact: TrainConfig, data: Dataset) -> None:
    trainer = Trainer(replace(exact, epochs=3, decoder_epochs=6), data)
    images = data.train.images
    for _ in range(3):
        trainer.run_epoch(never)
    before = exact_log_likelihood(trainer.model, images, CELLS).mean()
    for _ in range(6):
        trainer.run_epoch(never)
    after = exact_log_likelihood(trainer.model, images, CELLS).mean()
    assert after > before + 10
    # The reported terms sum to -log p(x), of steps of which the last ones hardly change it.
    row = trainer.history[-1]
    reported = -row["train_reconstruction"] - row["train_kl"]
    assert reported == pytest.approx(after, abs=3)


@pytest.mark.usefixtures("small_grids")
@pytest.mark.slow
def test_the_encoder_answers_from_its_cells_when_it_has_learned_them(
    exact: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    train(Trainer(exact, data), path, Interruption(9))
    assert not load_state(path).weights["encoder._extra_state"]
    trainer = Trainer(exact, data)
    trainer.resume(path)
    train(trainer, path)
    saved = load_checkpoint(path)
    assert load_state(path).weights["encoder._extra_state"]
    images = torch.from_numpy(data.test.images[:5].copy()) / 255
    trainer.model.eval()
    for found, expected in zip(
        saved.model.encoder(images), trainer.model.encoder(images), strict=True
    ):
        torch.testing.assert_close(found, expected)


def rates(trainer: Trainer, epochs: range) -> Iterator[float]:
    for epoch in epochs:
        for step in range(100):
            yield trainer.phases[-1].rate(epoch, step, 100)


def test_each_phase_has_a_schedule_of_its_own_to_half_the_peak(data: Dataset) -> None:
    trainer = Trainer(PRESETS["exact"], data)
    assert [(phase.first_epoch, phase.epochs) for phase in trainer.phases] == [
        (0, 2),
        (2, 6),
        (8, 5),
    ]
    last = list(rates(trainer, range(8, 13)))
    assert last[0] == pytest.approx(0.04 * 0.01)
    assert max(last) == last[50] == 0.01
    assert last[-1] < 1e-6


def test_many_processes_are_refused_with_one_line(exact: TrainConfig, data: Dataset) -> None:
    with pytest.raises(VAEError, match="in one process, not in 4: start vae-train without torchr"):
        Trainer(exact, data, processes=ProcessGroup(0, 4))


@pytest.mark.usefixtures("small_grids")
def test_a_run_with_phases_keeps_its_number_of_epochs(
    exact: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    Trainer(exact, data).save(path)
    with pytest.raises(VAEError, match="was begun with epochs 1, now 2"):
        Trainer(replace(exact, epochs=2), data).resume(path)
    with pytest.raises(VAEError, match="was begun with decoder_epochs 1, now 2"):
        Trainer(replace(exact, decoder_epochs=2), data).resume(path)


@pytest.mark.usefixtures("small_grids")
def test_one_latent_goes_through_all_phases(exact: TrainConfig, data: Dataset) -> None:
    trainer = Trainer(replace(exact, latent_dim=1), data)
    while not trainer.finished:
        trainer.run_epoch(never)
    assert all(row["test_elbo"] > -600 for row in trainer.history)
