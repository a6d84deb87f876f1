"""A run is decided by its configuration and data, however it is interrupted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_contents, save_contents
from vae_train.config import PRESETS, TrainConfig
from vae_train.data import Dataset
from vae_train.evaluation import evaluate_elbo
from vae_train.loop import Trainer, ignore, never, train


def after(calls: int) -> Callable[[], bool]:
    """Interrupt after this number of steps."""
    counter = iter(range(10**9))
    return lambda: next(counter) >= calls


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["default", "book", "best"])
def test_resuming_gives_the_bytes_of_an_uninterrupted_run(
    preset: str, data: Dataset, tmp_path: Path
) -> None:
    config = replace(PRESETS[preset], epochs=2, batch_size=32, shift=1)
    whole, pieces = tmp_path / "whole.pt", tmp_path / "pieces.pt"
    assert train(Trainer(config, data), whole, never, ignore)
    assert not train(Trainer(config, data), pieces, after(3), ignore)
    for _ in range(10):
        trainer = Trainer(config, data)
        trainer.resume(pieces)
        if train(trainer, pieces, after(5), ignore):
            break
    assert pieces.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_training_lowers_both_the_training_and_the_test_loss(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    trainer = Trainer(replace(config, epochs=12), data)
    train(trainer, tmp_path / "model.pt", never, ignore)
    first, last = trainer.history[0], trainer.history[-1]
    for split in ("train", "test"):
        assert last[f"{split}_reconstruction"] < first[f"{split}_reconstruction"] - 50
    assert trainer.summary["test_elbo"] == pytest.approx(
        -last["test_reconstruction"] - last["test_kl"], abs=3.0
    )


@pytest.mark.parametrize("preset", ["default", "book"])
def test_the_history_has_the_elbo_of_the_distribution_that_is_sampled(
    preset: str, data: Dataset, tmp_path: Path
) -> None:
    trainer = Trainer(replace(PRESETS[preset], epochs=1), data)
    train(trainer, tmp_path / "model.pt", never, ignore)
    row = trainer.history[0]
    elbo = evaluate_elbo(trainer.model, trainer.config.sampling, data.test.images, samples=1)
    assert row["test_elbo"] == pytest.approx(elbo.mean_elbo, rel=1e-4)
    differs = abs(row["test_elbo"] + row["test_reconstruction"] + row["test_kl"]) > 1e-3
    # The book's formula prints another KL.
    assert differs == (preset == "book")


def test_a_run_from_before_a_setting_existed_is_resumed_with_its_default(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    assert not train(Trainer(config, data), path, after(3), ignore)
    contents = load_contents(path)
    del contents["config"]["encoder_noise"]
    save_contents(path, contents)
    trainer = Trainer(config, data)
    trainer.resume(path)
    assert trainer.position.step == 3
    noisy = Trainer(replace(config, encoder_noise=0.1), data)
    with pytest.raises(VAEError, match=r"encoder_noise 0\.0, now 0\.1"):
        noisy.resume(path)


def test_resuming_another_configuration_says_what_differs(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    Trainer(config, data).save(path)
    with pytest.raises(VAEError, match="learning_rate 0.01, now 0.1"):
        Trainer(replace(config, learning_rate=0.1), data).resume(path)


def test_resuming_on_other_images_is_refused(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    Trainer(config, data).save(path)
    others = replace(data, train=data.train.first(100))
    with pytest.raises(VAEError, match="data set"):
        Trainer(config, others).resume(path)


def test_a_configuration_for_other_images_is_refused(config: TrainConfig, data: Dataset) -> None:
    with pytest.raises(
        ValueError, match=r"image_shape is \(3, 32, 32\), the images' \(1, 28, 28\)"
    ):
        Trainer(replace(config, image_shape=(3, 32, 32)), data)


def test_divergence_stops_with_the_step_and_the_rate_and_keeps_the_checkpoint(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    Trainer(config, data).save(path)
    before = path.read_bytes()
    wild = Trainer(replace(config, learning_rate=1e9), data)
    with pytest.raises(
        VAEError, match=r"step \d+ with the learning rate .*last checkpoint is kept"
    ):
        train(wild, path, never, ignore)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_checkpoint_holds_no_wall_clock_and_loads_with_weights_only(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.pt", tmp_path / "other-name.pt"]
    for path in paths:
        train(Trainer(config, data), path, never, ignore)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    contents = torch.load(paths[0], weights_only=True)
    assert set(contents["history"][0]) == {
        "epoch",
        "train_reconstruction",
        "train_kl",
        "test_reconstruction",
        "test_kl",
        "test_elbo",
    }


@pytest.mark.slow
def test_bfloat16_trains_float32_weights(config: TrainConfig, data: Dataset) -> None:
    trainer = Trainer(replace(config, epochs=3, amp=True), data)
    while not trainer.finished:
        trainer.run_epoch(never)
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert trainer.history[-1]["test_elbo"] > trainer.history[0]["test_elbo"] + 20


def test_weights_that_are_no_longer_finite_never_replace_a_checkpoint(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    trainer = Trainer(config, data)
    trainer.save(tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    with torch.no_grad():
        next(trainer.model.parameters())[0] = torch.nan
    with pytest.raises(VAEError, match="no longer finite .*the last checkpoint is kept"):
        trainer.save(tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == before


class HalfWeighted(Trainer):
    """A subclass as benchmarks.recipes has them: another KL weight, and steps that are counted."""

    steps = 0

    def kl_weight(self) -> float:
        return 0.5

    def step(self, part: torch.Tensor, count: int, rate: float) -> list[float]:
        self.steps += 1
        return super().step(part, count, rate)


def test_a_subclass_may_weigh_the_kl_term_and_follow_the_steps(
    config: TrainConfig, data: Dataset
) -> None:
    halved = HalfWeighted(config, data)
    halved.run_epoch(never)
    expected = Trainer(replace(config, beta=0.5), data)
    expected.run_epoch(never)
    assert halved.steps == 7
    assert halved.history == expected.history


class Recorded(Trainer):
    """Keeps the learning rate of each step."""

    def __init__(self, config: TrainConfig, data: Dataset) -> None:
        super().__init__(config, data)
        self.rates: list[float] = []

    def step(self, part: torch.Tensor, count: int, rate: float) -> list[float]:
        self.rates.append(rate)
        return super().step(part, count, rate)


@pytest.mark.slow
def test_a_run_made_longer_goes_on_where_the_longer_schedule_stands(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    short = Recorded(config, data)
    train(short, path)
    assert short.rates[-1] < 0.1 * config.learning_rate
    longer = Recorded(replace(config, epochs=4), data)
    longer.resume(path)
    train(longer, path)
    whole = Recorded(replace(config, epochs=4), data)
    train(whole, tmp_path / "whole.pt")
    assert longer.rates == whole.rates[14:]
    assert longer.rates[0] > 0.5 * config.learning_rate
    assert load_contents(path)["config"]["epochs"] == 4
    assert [row["epoch"] for row in longer.history] == [1, 2, 3, 4]
    shorter = Trainer(config, data)
    with pytest.raises(VAEError, match="2 epochs are fewer than the 4 done"):
        shorter.resume(path)


@pytest.mark.slow
def test_training_makes_the_folder_and_calls_back_after_each_epoch(
    config: TrainConfig, data: Dataset, tmp_path: Path
) -> None:
    seen = []

    def on_epoch(row: dict[str, float], seconds: float) -> None:
        assert seconds > 0
        seen.append(row)

    trainer = Trainer(config, data)
    assert train(trainer, str(tmp_path / "new" / "run" / "model.pt"), on_epoch=on_epoch)
    assert seen == trainer.history
    assert (tmp_path / "new" / "run" / "model.pt").is_file()
