"""PNG files of our own writer, read by Pillow."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vae_runtime.errors import VAEError
from vae_runtime.formats.png import save_png
from vae_runtime.formats.sheets import Pixels

sides = st.integers(1, 9)
shapes = st.one_of(st.tuples(sides, sides), st.tuples(sides, sides, st.just(3)))


@given(hnp.arrays(np.uint8, shapes))
def test_pillow_reads_the_pixels_that_were_written(pixels: np.ndarray) -> None:
    file = io.BytesIO()
    save_png(Pixels(pixels), file)
    with Image.open(io.BytesIO(file.getvalue())) as picture:
        assert picture.mode == ("L" if pixels.ndim == 2 else "RGB")
        np.testing.assert_array_equal(np.asarray(picture), pixels)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(VAEError, match="absent/a.png: cannot be written"):
        save_png(Pixels(np.zeros((2, 2), np.uint8)), tmp_path / "absent" / "a.png")
