"""`vae-run` as a user meets it: processes, exit codes, what lies in the folder afterwards."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image, ImageSequence
from tests.photographs import photograph
from tests.runtime.helpers import Run

from vae_runtime.cli import COMMANDS as REGISTERED
from vae_runtime.cli import group
from vae_runtime.formats.idx import write_idx

CONTEXT = click.Context(group)
COMMANDS = sorted(group.list_commands(CONTEXT))


@pytest.fixture
def digit(test_images: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(test_images[0]).save(tmp_path / "digit.png")
    return tmp_path / "digit.png"


def test_the_grid_is_a_picture_of_420_pixels(vae_run: Run, tmp_path: Path) -> None:
    done = vae_run("grid")
    assert (done.returncode, done.stdout, done.stderr) == (0, "grid.png\n", "")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (420, 420)
        assert np.asarray(picture).max() > 200


def test_a_seed_gives_the_same_bytes_and_without_one_it_is_printed(
    vae_run: Run, tmp_path: Path
) -> None:
    drawn = vae_run("sample", "-n", 4, "-o", "a.png").stderr.split()
    assert drawn[0] == "seed"
    vae_run("sample", "-n", 4, "--seed", drawn[1], "-o", "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_samples_go_to_an_array_or_a_folder(vae_run: Run, tmp_path: Path) -> None:
    assert vae_run("sample", "-n", 1500, "--seed", 0, "-o", "digits.npy").returncode == 0
    array = np.load(tmp_path / "digits.npy")
    assert (array.shape, array.dtype) == ((1500, 1, 28, 28), np.float32)
    assert vae_run("sample", "-n", 11, "--seed", 0, "-o", "folder").returncode == 0
    assert len(os.listdir(tmp_path / "folder")) == 11
    again = vae_run("sample", "-n", 1, "--seed", 0, "-o", "folder")
    assert again.returncode == 1
    assert "not an empty folder" in again.stderr
    assert vae_run("sample", "-n", 2, "--seed", 0, "-o", "folder", "--force").returncode == 0


@pytest.mark.parametrize("suffix", ["csv", "json", "npz", "npy"])
def test_encoding_and_decoding_through_a_file(
    vae_run: Run, tmp_path: Path, digit: Path, suffix: str
) -> None:
    assert vae_run("encode", digit, "-o", f"z.{suffix}").returncode == 0
    assert vae_run("decode", f"z.{suffix}", "-o", "again.npy").returncode == 0
    assert vae_run("reconstruct", digit, "-o", "direct.npy").returncode == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "again.npy"), np.load(tmp_path / "direct.npy"), atol=1e-6
    )


def test_the_commands_that_take_images_make_their_pictures(
    vae_run: Run, tmp_path: Path, digit: Path, test_images: np.ndarray
) -> None:
    write_idx(tmp_path / "ten-images-ubyte", test_images[:10])
    write_idx(tmp_path / "ten-labels-ubyte", np.arange(10, dtype=np.uint8))
    for command in (
        ["reconstruct", "ten-images-ubyte"],
        ["interpolate", "ten-images-ubyte", "--steps", 4],
        ["edit", digit, "--add", 4, "--remove", 9, "--strength", 0.8],
        ["plot", "ten-images-ubyte", "--labels", "ten-labels-ubyte"],
        ["digits", 2026, "--seed", 1],
    ):
        done = vae_run(*command)
        assert (done.returncode, done.stderr) == (0, "")
        with Image.open(tmp_path / f"{command[0]}.png") as picture:
            assert np.asarray(picture).std() > 10
    done = vae_run("interpolate", "ten-images-ubyte", "--steps", 3, "-o", "path.gif")
    with Image.open(tmp_path / "path.gif") as animation:
        assert len(list(ImageSequence.Iterator(animation))) > 20
    done = vae_run("grid", "-n", 5, "--limits=-3,3", "--labelled", "--scale", 2, "-o", "axes.png")
    assert done.returncode == 0


def test_a_concept_is_learned_from_two_folders(
    vae_run: Run, tmp_path: Path, digit: Path, test_images: np.ndarray
) -> None:
    for name, chosen in (("with", test_images[:5]), ("without", test_images[5:9])):
        (tmp_path / name).mkdir()
        for i, image in enumerate(chosen):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    done = vae_run("learn-concept", "--with", "with", "--without", "without", "-o", "c.json")
    assert done.returncode == 0
    assert len(json.loads((tmp_path / "c.json").read_text())["concept"]) == 2
    assert vae_run("edit", digit, "--concept", "c.json").returncode == 0
    assert vae_run("concepts").stdout.startswith("0\t")


def test_scores_find_the_anomaly(vae_run: Run, tmp_path: Path, digit: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert vae_run("score", digit, "--threshold", "q0.001", "--check").returncode == 0
    done = vae_run("score", digit, "noise.png", "--threshold", "q0.001", "--check")
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0] == "name,score,relative,anomaly"
    assert [line.split(",")[::3] for line in lines[1:]] == [
        [str(digit), "False"],
        ["noise.png", "True"],
    ]


def test_info_check_and_bench_report(vae_run: Run) -> None:
    assert json.loads(vae_run("info", "--json").stdout)["latent_dim"] == 2
    assert "verified" in vae_run("info").stdout
    assert json.loads(vae_run("check", "--json").stdout)["differences"]["decoded"] < 1e-4
    report = json.loads(vae_run("bench", "--seconds", 0.01, "--json").stdout)
    assert {row["batch"] for row in report["results"]} == {1, 8, 32, 225}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    found = group.get_command(CONTEXT, command)
    assert found is not None
    assert f"Example: vae-run {command}" in (found.help or "")


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["sample", "-n", 0], 2, "0 is not in the range"),
        (["sample", "-n", -3], 2, "-3 is not in the range"),
        (["sample", "--seed", 0, "-o", "a.xyz"], 2, "a.xyz: an output ends in"),
        (["sample", "--seed", 0, "-o", "absent/a.png"], 1, "absent/a.png: cannot be written"),
        (["sample", "--seed", 0, "-o", "absent/a.npy"], 1, "absent/a.npy: cannot be written"),
        (["sample", "-n", 20000, "--seed", 0, "-o", "a.png"], 2, "a sheet holds up to"),
        (["grid", "-m", "absent.vae"], 1, "absent.vae: no such bundle"),
        (["grid", "--provider", "abacus"], 1, "no such provider"),
        (["grid", "--axes", "0,7"], 2, "latent dimensions"),
        (["grid", "--quantiles", "0,1"], 2, "quantiles"),
        (["grid", "--precision", "int4"], 2, "int4"),
        (["grid", "--provider", "cpu:3"], 1, "no such provider"),
        (["grid", "--provider", "azure"], 1, "no such provider"),
        (["grid", "--limits", "nan,3"], 2, "--limits.*not two numbers"),
        (["grid", "--limits", "3,-3"], 2, "limits must be two finite numbers that rise"),
        (["grid", "--anchor", "1"], 2, "--anchor 1: neither a file nor 2 numbers"),
        (["grid", "-o", ""], 2, "the name is empty"),
        (["encode", ""], 2, "the name is empty"),
        (["encode", "text.png", "-o", "z.txt"], 2, "ends in .csv or .json or .npz or .npy"),
        (["score", "text.png", "-o", "scores.png"], 2, "ends in .csv"),
        (["score", "text.png", "--threshold", "nan", "--check"], 2, "--threshold nan"),
        (["plot", "text.png", "--axes", "0,0"], 2, "--axes 0,0"),
        (["edit", "text.png", "--add", "4", "--strength", "inf"], 2, "--strength.*finite"),
        (["encode", "absent.png"], 1, "absent.png: no such file"),
        (["encode", "text.png"], 1, "text.png: not an image"),
        (["decode", "nan.csv"], 1, "nan.csv: .*NaN"),
        (["decode", "wide.csv"], 1, "wide.csv: .*don't fit"),
        (["decode", "text.png"], 1, "latent files end in"),
        (["digits", "20x6", "--seed", 0], 2, "no label 'x'"),
        (["edit", "text.png"], 2, "--add"),
        (["edit", "text.png", "--add", "4", "--remove", "4"], 2, "nothing would change"),
        (["score", "text.png", "--check"], 2, "--threshold"),
        (["nonsense"], 2, "No such command"),
        (["gird"], 2, "No such command 'gird'. Did you mean 'grid'"),
        (["grid", "-n", 150], 2, "a sheet holds up to 10000 images, not 22500"),
    ],
)
def test_bad_input_is_one_clear_line_and_no_file(
    vae_run: Run, tmp_path: Path, arguments: list[object], status: int, reason: str
) -> None:

    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "nan.csv").write_text("name,z_mean_0,z_mean_1\na,nan,1\n")
    (tmp_path / "wide.csv").write_text("name,z_mean_0,z_mean_1,z_mean_2\na,1,1,1\n")
    before = sorted(os.listdir(tmp_path))
    done = vae_run(*arguments)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert re.search(reason, done.stderr)
    assert sorted(os.listdir(tmp_path)) == before


def test_the_grid_grows_upwards_and_in_the_books_order_downwards(
    vae_run: Run, tmp_path: Path
) -> None:
    vae_run("grid", "-n", 3, "-o", "up.npy")
    vae_run("grid", "-n", 3, "--book", "-o", "book.npy")
    up = np.load(tmp_path / "up.npy").reshape(3, 3, 28, 28)
    book = np.load(tmp_path / "book.npy").reshape(3, 3, 28, 28)
    np.testing.assert_array_equal(up[::-1], book)


def test_without_arguments_it_shows_its_help(vae_run: Run) -> None:
    done = vae_run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == vae_run("--help").stdout


def test_the_list_of_commands_is_not_cut_short(vae_run: Run) -> None:
    assert "..." not in vae_run("--help").stdout.partition("Commands:")[2]


def test_a_second_grid_into_a_folder_takes_force(vae_run: Run) -> None:
    assert vae_run("grid", "-n", 2, "-o", "cells").returncode == 0
    assert "--force" in vae_run("grid", "-n", 2, "-o", "cells").stderr
    assert vae_run("grid", "-n", 2, "-o", "cells", "--force").returncode == 0


@pytest.mark.parametrize(
    "content", ['{"concept": []}', '{"concept": [[1, 2], [3, 4]]}', '{"concept": [1]}', "[]"]
)
def test_a_concept_of_another_shape_is_refused(
    vae_run: Run, tmp_path: Path, digit: Path, content: str
) -> None:
    (tmp_path / "c.json").write_text(content)
    done = vae_run("edit", digit, "--concept", "c.json")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: c.json: not a concept file for this model")


def test_points_are_colored_by_the_folder_of_each_image(
    vae_run: Run, tmp_path: Path, test_images: np.ndarray
) -> None:
    for i, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        Image.fromarray(test_images[i]).save(tmp_path / name / "x.png")
    assert vae_run("plot", "one", "two").returncode == 0
    pixels = np.asarray(Image.open(tmp_path / "plot.png"))
    shown = {tuple(color) for color in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}
    assert {(31, 119, 180), (255, 127, 14)} <= shown
    names = [line.split(",")[0] for line in vae_run("encode", "one", "two").stdout.splitlines()[1:]]
    assert names == ["one/x.png", "two/x.png"]


def test_info_verifies_check_npz_too(vae_run: Run, bundle: Path) -> None:
    (bundle / "check.npz").write_bytes(b"PK")
    done = vae_run("info", "-m", bundle)
    assert done.returncode == 1
    assert "check.npz: not a readable numpy file" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_of_a_command_begins_its_own_help(name: str) -> None:
    found = group.get_command(CONTEXT, name)
    assert found is not None
    assert found.name == name
    assert (found.help or "").startswith(REGISTERED[name].short_help)


def test_a_photograph_needs_no_option(
    vae_run: Run, tmp_path: Path, test_images: np.ndarray
) -> None:
    rng = np.random.default_rng(3)
    (tmp_path / "photo.jpg").write_bytes(photograph(test_images[0], rng).jpeg)
    done = vae_run("reconstruct", "photo.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    done = vae_run("score", "photo.jpg", "--threshold", "q0.01", "--check")
    assert done.returncode == 0


def test_what_the_model_does_not_know_earns_one_warning(vae_run: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(noise).save(tmp_path / name)
    for command in ("reconstruct", "encode", "plot"):
        done = vae_run(command, "a.png", "b.png")
        assert done.returncode == 0
        assert re.match(
            r"Warning: a.png and 1 more: like nothing that the model knows \(score -", done.stderr
        )
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["score", "encode", "reconstruct", "plot"])
def test_a_damaged_file_of_a_folder_is_left_out_named_and_counted(
    vae_run: Run, tmp_path: Path, test_images: np.ndarray, command: str
) -> None:
    (tmp_path / "inbox").mkdir()
    for i in range(3):
        Image.fromarray(test_images[i]).save(tmp_path / "inbox" / f"{i}.png")
    (tmp_path / "inbox" / "bad.png").write_bytes(b"no image")
    done = vae_run(command, "inbox")
    assert done.returncode == 1
    assert "Warning: left out: inbox/bad.png: not an image" in done.stderr
    assert "left out 1 damaged" in done.stderr
    assert done.stdout.count("\n") >= 1
    strict = vae_run(command, "inbox", "--strict", "-o", "x.csv" if command != "plot" else "x.png")
    assert strict.returncode in (1, 2)
    assert strict.stderr.count("\n") == 1


def test_an_image_comes_from_stdin(tmp_path: Path, digit: Path, vae_run: Run) -> None:
    expected = vae_run("encode", digit).stdout.splitlines()[1].split(",")[1:]
    done = subprocess.run(
        [sys.executable, "-m", "vae_runtime", "encode", "-"],
        input=digit.read_bytes(),
        capture_output=True,
        timeout=120,
    )
    assert done.stdout.decode().splitlines()[1].split(",") == ["-", *expected]


def test_labels_are_drawn_and_joined_without_images(vae_run: Run, tmp_path: Path) -> None:
    assert vae_run("sample", "--label", 3, "--label", 8, "-n", 4, "--seed", 0).returncode == 0
    done = vae_run("interpolate", "--from", 1, "--to", 7, "--steps", 5, "-o", "path.npy")
    assert done.returncode == 0
    assert np.load(tmp_path / "path.npy").shape == (5, 1, 28, 28)
    assert vae_run("interpolate", "--from", 1).returncode == 2
    assert vae_run("interpolate").returncode == 2


def test_paths_through_several_images_show_none_twice(
    vae_run: Run, tmp_path: Path, test_images: np.ndarray
) -> None:
    write_idx(tmp_path / "three-images-ubyte", test_images[:3])
    vae_run("interpolate", "three-images-ubyte", "--steps", 4, "-o", "path.npy")
    frames = np.load(tmp_path / "path.npy")
    assert len(frames) == 4 + 3
    assert (frames[1:] != frames[:-1]).any((1, 2, 3)).all()


def test_force_leaves_no_pictures_of_an_earlier_run(vae_run: Run, tmp_path: Path) -> None:
    vae_run("sample", "-n", 12, "--seed", 0, "-o", "tiles")
    (tmp_path / "tiles" / "notes.txt").write_text("mine")
    vae_run("sample", "-n", 3, "--seed", 0, "-o", "tiles", "--force")
    assert sorted(os.listdir(tmp_path / "tiles")) == ["0.png", "1.png", "2.png", "notes.txt"]


@pytest.mark.parametrize("suffix", ["csv", "json", "npz", "npy"])
def test_latents_come_from_stdin(vae_run: Run, tmp_path: Path, digit: Path, suffix: str) -> None:
    vae_run("encode", digit, "-o", f"z.{suffix}")
    vae_run("decode", f"z.{suffix}", "-o", "file.png")
    done = subprocess.run(
        [sys.executable, "-m", "vae_runtime", "decode", "-", "-o", "stdin.png"],
        input=(tmp_path / f"z.{suffix}").read_bytes(),
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "stdin.png").read_bytes() == (tmp_path / "file.png").read_bytes()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif"])
def test_sheets_come_in_the_formats_that_pillow_has(
    vae_run: Run, tmp_path: Path, suffix: str
) -> None:
    assert vae_run("sample", "-n", 4, "--seed", 0, "-o", f"a.{suffix}").returncode == 0
    with Image.open(tmp_path / f"a.{suffix}") as picture:
        assert picture.width >= 500


def test_concepts_are_listed_as_json(vae_run: Run) -> None:
    listed = json.loads(vae_run("concepts", "--json").stdout)
    assert [item["label"] for item in listed] == list("0123456789")


def test_blanks_of_a_text_are_black(vae_run: Run, tmp_path: Path) -> None:
    vae_run("digits", "20 26", "--seed", 0, "-o", "text.npy")
    images = np.load(tmp_path / "text.npy")
    assert len(images) == 5
    assert images[2].max() == 0
    assert images[[0, 1, 3, 4]].max((1, 2, 3)).min() > 0.5
