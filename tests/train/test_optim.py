from dataclasses import replace

import pytest

from vae_train.config import PRESETS, TrainConfig
from vae_train.optim import learning_rate


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    config = replace(PRESETS["default"], learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(config, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[100] == 1.0
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] < 1e-5


def test_the_book_keeps_its_rate() -> None:
    assert {learning_rate(PRESETS["book"], step, 9) for step in range(9)} == {1e-3}


@pytest.mark.parametrize("config", PRESETS.values())
def test_a_configuration_survives_the_checkpoint(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(config.to_dict()) == config
