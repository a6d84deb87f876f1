import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.helpers import DATA

import vae_runtime
from vae_runtime.batch import Decode, Encode, Operation, Reconstruct, Score, loaded
from vae_runtime.bundle.packing import packed
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet

DAMAGED = b"\x89PNG\r\n\x1a\nand then nothing"


def objects(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def png_files(images: np.ndarray) -> np.ndarray:
    return objects([png_bytes(sheet(image[None, None] / 255)) for image in images])


def test_results_are_those_of_the_api(digits: vae_runtime.VAE, test_images: np.ndarray) -> None:
    batch = {"image": test_images[:9]}
    z_mean, z_log_var = digits.encode(test_images[:9])
    encoded = Encode()(batch)
    assert encoded["z_mean"].tobytes() == z_mean.tobytes()
    assert encoded["z_log_var"].tobytes() == z_log_var.tobytes()
    assert Score()(batch)["score"].tobytes() == digits.score(test_images[:9]).tobytes()
    reconstruction = Reconstruct()(batch)["reconstruction"]
    assert reconstruction.tobytes() == digits.reconstruct(test_images[:9]).tobytes()
    assert Decode()(encoded)["decoded"].tobytes() == digits.decode(z_mean).tobytes()


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, 20), max_size=5), flavor=st.sampled_from(["uint8", "png"]))
def test_however_the_rows_are_cut_into_batches(cuts: list[int], flavor: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    rows = png_files(images) if flavor == "png" else images
    operation = Score(DATA / "tiny.vae", samples=2)
    whole = operation({"image": rows})["score"]
    edges = [0, *sorted(cuts), 20]
    parts = []
    for start, end in itertools.pairwise(edges):
        parts.append(operation({"image": rows[start:end]})["score"])
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_other_columns_and_the_number_of_rows_stay(test_images: np.ndarray) -> None:
    batch = {"image": test_images[:3], "id": np.arange(3), "name": np.array(["a", "b", "c"])}
    columns = Encode(DATA / "tiny.vae")(batch)
    assert list(columns) == ["image", "id", "name", "z_mean", "z_log_var", "error"]
    assert columns["id"] is batch["id"]
    assert {len(column) for column in columns.values()} == {3}


@pytest.mark.parametrize(
    "make_column",
    [
        png_files,
        lambda images: objects([{"bytes": item, "path": None} for item in png_files(images)]),
        lambda images: objects([bytearray(item) for item in png_files(images)]),
        lambda images: objects(list(images)),
        lambda images: objects([objects(list(image)) for image in images]),
        lambda images: objects([image.tolist() for image in images / 255]),
        lambda images: (images / 255)[:, None],
        lambda images: images[..., None],
        lambda images: images.reshape(len(images), -1),
    ],
    ids=["png", "Hugging Face", "Spark", "arrays", "rows", "lists", "NCHW", "NHWC", "flat"],
)
def test_images_come_as_tables_have_them(make_column: Any, test_images: np.ndarray) -> None:
    expected = Encode()({"image": test_images[:4]})["z_mean"]
    found = Encode()({"image": make_column(test_images[:4])})
    assert list(found["error"]) == [""] * 4
    np.testing.assert_allclose(found["z_mean"], expected, atol=1e-5)


def test_a_damaged_row_is_named_and_costs_no_other(test_images: np.ndarray) -> None:
    files = png_files(test_images[:6])
    whole = Encode()({"image": files})["z_mean"]
    files[1] = DAMAGED
    files[4] = None
    found = Encode()({"image": files})
    assert found["error"][[0, 2, 3, 5]].tolist() == [""] * 4
    assert "damaged" in found["error"][1]
    assert "NoneType" in found["error"][4]
    assert np.isnan(found["z_mean"][[1, 4]]).all()
    assert (found["z_mean"][[0, 2, 3, 5]] == whole[[0, 2, 3, 5]]).all()


def test_a_row_of_nan_among_numbers_is_named(test_images: np.ndarray) -> None:
    images = test_images[:3].astype(np.float32) / 255
    images[1, 5, 5] = np.nan
    found = Score()({"image": images})
    assert [bool(error) for error in found["error"]] == [False, True, False]
    assert np.isnan(found["score"]).tolist() == [False, True, False]


def test_a_row_with_an_error_keeps_it_in_the_next_operation(test_images: np.ndarray) -> None:
    files = png_files(test_images[:3])
    files[1] = DAMAGED
    encoded = Encode()({"image": files})
    decoded = Decode(images="png")(encoded)
    assert decoded["error"].tolist() == encoded["error"].tolist()
    assert decoded["decoded"][1] == b""
    assert decoded["decoded"][2].startswith(b"\x89PNG")


def test_a_path_in_a_row_is_not_opened(test_images: np.ndarray) -> None:
    found = Encode()({"image": np.array(["/etc/passwd", "digits.png"])})
    assert all("str" in error for error in found["error"])


def test_rows_are_not_taken_for_channels() -> None:
    images = np.zeros((3, 16, 16), np.float32)
    found = Encode(DATA / "color.vae")({"image": images})
    assert len(found["z_mean"]) == 3
    assert all(found["error"])


@pytest.mark.parametrize("operation", [Encode(), Score(), Reconstruct(), Reconstruct(images="png")])
def test_no_rows_give_columns_of_the_right_types(operation: Operation) -> None:
    empty = operation({"image": np.empty((0, 28, 28), np.uint8)})
    one = operation({"image": np.zeros((1, 28, 28), np.uint8)})
    for name, column in one.items():
        assert len(empty[name]) == 0
        assert empty[name].shape[1:] == column.shape[1:]
        if column.dtype != object:
            assert empty[name].dtype.kind == column.dtype.kind


def test_a_pickled_operation_is_as_small_as_its_arguments() -> None:
    operation = Encode(DATA / "tiny.vae", inference="refined")
    operation({"image": np.zeros((1, 28, 28), np.uint8)})
    assert len(pickle.dumps(operation)) < 1000
    again = pickle.loads(pickle.dumps(operation))
    assert again.vae is operation.vae


def test_a_packed_bundle_needs_no_file(test_images: np.ndarray, digits: vae_runtime.VAE) -> None:
    content = packed(digits.path)
    found = pickle.loads(pickle.dumps(Encode(content)))({"image": test_images[:2]})
    assert found["z_mean"].tobytes() == digits.encode(test_images[:2])[0].tobytes()
    assert vae_runtime.load(content).check()
    assert packed(digits.path) == content


def test_one_process_loads_a_model_once() -> None:
    loaded.cache_clear()
    for _ in range(5):
        assert Encode(DATA / "tiny.vae").vae is Score(DATA / "tiny.vae").vae
    assert loaded.cache_info().misses == 1


def test_a_missing_column_and_unknown_kinds_are_named() -> None:
    with pytest.raises(ValueError, match="no column 'image', it has pixels, id"):
        Encode()({"pixels": np.zeros(1), "id": np.zeros(1)})
    with pytest.raises(ValueError, match="jpeg"):
        Reconstruct(images="jpeg")({"image": np.zeros((1, 28, 28), np.uint8)})  # type: ignore[arg-type]
