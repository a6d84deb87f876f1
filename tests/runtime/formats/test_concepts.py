"""Concept files."""

from pathlib import Path

import numpy as np
import pytest

from vae_runtime.errors import VAEError
from vae_runtime.formats.concepts import read_concept, write_concept


def test_a_concept_survives_its_file(tmp_path: Path) -> None:
    write_concept(np.array([0.25, -1.5]), 3, 4, tmp_path / "c.json")
    assert read_concept(tmp_path / "c.json", (2,)).tolist() == [0.25, -1.5]


def test_a_concept_of_another_width_is_refused(tmp_path: Path) -> None:
    write_concept(np.array([0.25, -1.5]), 3, 4, tmp_path / "c.json")
    with pytest.raises(VAEError, match="c.json: not a concept file for this model"):
        read_concept(tmp_path / "c.json", (3,))
