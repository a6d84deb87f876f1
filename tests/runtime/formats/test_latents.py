"""Latent files of every format."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_runtime.errors import VAEError
from vae_runtime.formats.latents import LATENT_FORMATS, Latents, read_latents, write_latents

numbers = st.floats(-1e6, 1e6, width=32)


def test_columns_may_come_in_any_order_and_after_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_text("\ufeffz_mean_1,z_mean_0\n1,0\n", "utf-8")
    assert read_latents(tmp_path / "z.csv", 2).tolist() == [[0, 1]]


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(3)), elements=numbers),
    st.sampled_from(LATENT_FORMATS),
)
def test_latents_survive_every_format(
    tmp_path_factory: pytest.TempPathFactory, z: np.ndarray, kind: str
) -> None:
    path = tmp_path_factory.mktemp("latents") / f"z.{kind}"
    write_latents(Latents(tuple(f'"odd", name {i}' for i in range(len(z))), z, -z), path)
    np.testing.assert_array_equal(read_latents(path, 3), z)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("z.csv", "name,z_mean_0,z_mean_1\na,nan,1\n", "NaN or infinity"),
        ("z.csv", "name,z_mean_0\na,1\n", r"\(N, 2\)"),
        ("z.csv", "name,z_mean_0,z_mean_1\na,1\n", "too short"),
        ("z.csv", "x,y\n1,2\n", "header"),
        ("z.csv", "z_mean_0,z_mean_2\n1,2\n", "header"),
        ("z.csv", "", "header"),
        ("z.csv", "name,z_mean_0,z_mean_1\na,one,1\n", "could not convert"),
        ("z.json", "[1, 2]", "list of"),
        ("z.json", "{", "Expecting"),
        ("z.json", '[{"z_mean": [1, Infinity]}]', "NaN or infinity"),
        ("z.json", '[{"z_mean": ["a", "b"]}]', "must be numbers"),
        ("z.npy", "junk", "not a readable numpy file"),
        ("z.txt", "", "latent files end in"),
    ],
)
def test_a_wrong_latent_file_is_one_clear_error(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(VAEError, match=f"{name}: .*{reason}"):
        read_latents(tmp_path / name, 2)
