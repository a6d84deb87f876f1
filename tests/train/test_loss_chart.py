"""losses.png: where its lines and numbers are, in its pixels."""

import math

import numpy as np
import pytest
from PIL import ImageColor

from vae_runtime.arrays import Int64, UInt8
from vae_runtime.charts import COLORS
from vae_train.loss_chart import PANEL_HEIGHT, PANEL_WIDTH, TOP, loss_chart, round_ticks


def history(epochs: int) -> list[dict[str, float]]:
    rows = []
    for epoch in range(1, epochs + 1):
        rows.append(
            {
                "epoch": epoch,
                "train_reconstruction": 100.0 + 100 / epoch,
                "train_kl": 6.0 - 1 / epoch,
                "test_reconstruction": 110.0 + 100 / epoch,
                "test_kl": 7.0 - 1 / epoch,
            }
        )
    return rows


def places(chart: UInt8, panel: int, line: int) -> Int64:
    """Rows and columns (n, 2) of the pixels that a line has within its panel's frame."""
    color = ImageColor.getrgb(COLORS[line])
    part = chart[TOP:, panel * PANEL_WIDTH : (panel + 1) * PANEL_WIDTH]
    return np.argwhere((part == color).all(2))


def test_each_loss_has_a_panel_with_a_line_for_each_split() -> None:
    chart = loss_chart(history(10), "test")
    assert chart.shape == (PANEL_HEIGHT, 2 * PANEL_WIDTH, 3)
    for panel in (0, 1):
        training = places(chart, panel, 0)
        test = places(chart, panel, 1)
        # The test loss is the higher one, so nearer to the top.
        assert test[:, 0].mean() < training[:, 0].mean()
        assert np.ptp(training[:, 1]) > PANEL_WIDTH / 2


def test_reconstruction_falls_while_the_divergence_rises() -> None:
    chart = loss_chart(history(10), "test")
    for panel, falls in ((0, True), (1, False)):
        line = places(chart, panel, 0)
        left = line[line[:, 1] == line[:, 1].min(), 0].mean()
        right = line[line[:, 1] == line[:, 1].max(), 0].mean()
        assert (right > left) == falls


def test_a_single_epoch_is_a_dot_in_the_middle_of_each_panel() -> None:
    chart = loss_chart(history(1), "test")
    for panel in (0, 1):
        for line in (0, 1):
            dot = places(chart, panel, line)
            assert len(dot) > 30
            assert abs(dot[:, 1].mean() - PANEL_WIDTH / 2) < 40


def test_values_that_are_not_finite_or_equal_do_not_stop_it() -> None:
    rows = history(3)
    rows[1]["test_kl"] = math.inf
    for row in rows:
        row["train_reconstruction"] = row["test_reconstruction"] = 100.0
    assert loss_chart(rows, "validation").any()


@pytest.mark.parametrize(
    ("low", "high", "smallest", "ticks"),
    [
        (1, 1.5, 1, [1]),
        (1, 2.5, 1, [1, 2]),
        (1, 8.5, 1, [1, 2, 3, 4, 5, 6, 7, 8]),
        (1, 40.5, 1, [5, 10, 15, 20, 25, 30, 35, 40]),
        (127.9, 144.2, 0, [128, 130, 132, 134, 136, 138, 140, 142, 144]),
        (-0.3, 0.9, 0, [-0.2, 0, 0.2, 0.4, 0.6, 0.8]),
    ],
    ids=str,
)
def test_ticks_are_round(low: float, high: float, smallest: float, ticks: list[float]) -> None:
    assert round_ticks(low, high, smallest) == pytest.approx(ticks)
