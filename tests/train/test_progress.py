"""What is shown within an epoch where stderr is no terminal: pytest captures it."""

import re

import pytest

from vae_train import progress
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.loop import Trainer, never

LINE = r"epoch 1/2  step \d of 7  \d+\.\d nats per image  [\d.e+]+ steps/s, \d+ s left"


@pytest.fixture
def trainer(config: TrainConfig, data: Dataset) -> Trainer:
    return Trainer(config, data)


def test_a_line_tells_how_far_the_epoch_is(
    trainer: Trainer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0)
    trainer.run_epoch(never)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert all(re.fullmatch(LINE, line) for line in lines), lines


def test_a_short_epoch_says_nothing(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    trainer.run_epoch(never)
    assert capsys.readouterr().err == ""


def test_only_the_main_process_says_something(
    trainer: Trainer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0)
    bar = progress.EpochProgress("epoch 1/1", first=0, steps=7, is_shown=False)
    with bar:
        bar.update(1, 5.0)
    assert capsys.readouterr().err == ""
