"""What the page says of an image's score."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import vae_runtime
from vae_runtime.explore.calls import Request, plane, verdict
from vae_runtime.latent.novelty import Yardstick

KNOWN = Yardstick({"0.001": -300.0, "0.01": -250.0, "0.05": -200.0}, is_relative=True)
NOTHING = Yardstick({}, is_relative=False)


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (-150.0, "typical"),
        (-200.0, "typical"),
        (-200.1, "rare: fewer than 1 in 20 real images score lower"),
        (-250.1, "rare: fewer than 1 in 100 real images score lower"),
        (-300.1, "rare: fewer than 1 in 1000 real images score lower"),
        (-500.0, "rare: fewer than 1 in 1000 real images score lower"),
        (-500.1, "unlike anything the model knows"),
    ],
)
def test_a_score_is_judged_by_those_of_held_out_images(score: float, words: str) -> None:
    assert verdict(score, KNOWN) == words
    assert KNOWN.is_known(score) == (words != "unlike anything the model knows")


def test_without_quantiles_nothing_is_said() -> None:
    assert verdict(-1e9, NOTHING) == ""
    assert NOTHING.is_known(-1e9)


def test_other_quantiles_judge_as_far_as_they_reach() -> None:
    known = Yardstick({"0.02": -250.0}, is_relative=False)
    assert verdict(-1e9, known) == "rare: fewer than 1 in 50 real images score lower"


def test_cells_without_images_are_dark(digits: vae_runtime.VAE) -> None:
    pictures = []
    for fade in (False, True):
        fields = {"z": [0, 0], "axes": [0, 1], "reach": 4, "cells": 5, "fade": fade}
        answer = plane(digits, Request(json.dumps(fields).encode()))
        pictures.append(np.asarray(Image.open(io.BytesIO(answer.body)), np.float64))
    bright, faded = pictures
    assert (faded <= bright).all()
    assert 0.2 * bright.sum() < faded.sum() < 0.9 * bright.sum()
