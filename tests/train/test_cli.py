"""`vae-train` and `vae-eval`: Ctrl-C, outputs that cannot be written, files that are no models."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.train.processes import EVALUATE, TRAIN, failed, finished, started

from vae_train.__main__ import evaluate, main
from vae_train.checkpoint import load_checkpoint, load_contents, save_contents
from vae_train.cli.run_evaluate import interval, table

OneLine = Callable[..., tuple[int, str]]

SMALL = ["--epochs", "1", "--limit", "100"]
MAX_FILE_BYTES = 1 << 20


@pytest.mark.slow
def test_ctrl_c_saves_and_what_it_says_resumes_to_the_bytes_of_an_uninterrupted_run(
    sample_folder: Path, tmp_path: Path
) -> None:
    command = [*TRAIN, "--data", str(sample_folder), "--epochs", "3", "--limit", "60"]
    command += ["--batch-size", "20", "--beta", "2", "--seed", "5", "--threads", "1", "-o"]
    finished([*command, "whole run"], tmp_path)
    process = started([*command, "in pieces"], tmp_path, "epoch 1/3")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    _, _, hint = errors.partition("Stopped; continue with ")
    program, *arguments = shlex.split(hint)
    assert program == "vae-train"
    assert finished([*TRAIN, *arguments], tmp_path).stderr == ""
    for name in ("model.pt", "grid.png", "losses.png", "latents.png"):
        resumed = tmp_path / "in pieces" / name
        assert resumed.read_bytes() == (tmp_path / "whole run" / name).read_bytes()
    rows = (tmp_path / "in pieces" / "history.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["epoch", "1", "2", "3"]


@pytest.mark.slow
def test_a_finished_run_can_be_made_longer_and_not_shorter(
    sample_folder: Path, tmp_path: Path, one_line: OneLine
) -> None:
    finished([*TRAIN, "--data", str(sample_folder), *SMALL, "-o", "run"], tmp_path)
    longer = [*TRAIN, "--resume", "-o", "run", "--epochs"]
    assert "epoch 2/3" in finished([*longer, "3"], tmp_path).stdout
    contents = load_contents(tmp_path / "run/model.pt")
    assert contents["position"]["epoch"] == contents["config"]["epochs"] == 3
    assert "test_elbo" in contents["training"]
    status, line = one_line(main, "--resume", "-o", "run", "--epochs", "2")
    assert status == 1
    assert "--epochs 2 is less than the 3 that are done" in line


@pytest.mark.slow
def test_a_run_that_ends_with_the_epochs_that_are_done_gets_its_final_figures(
    sample_folder: Path, tmp_path: Path
) -> None:
    command = [*TRAIN, "--data", str(sample_folder), "--limit", "100", "--epochs", "50"]
    process = started([*command, "-o", "run"], tmp_path, "epoch 1/50")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    done = load_contents(tmp_path / "run/model.pt")["position"]["epoch"]
    shown = finished([*TRAIN, "--resume", "-o", "run", "--epochs", str(done)], tmp_path).stdout
    assert "run/model.pt: test ELBO -" in shown
    assert load_contents(tmp_path / "run/model.pt")["training"]["train_images"] == 100


@pytest.mark.slow
def test_a_run_of_an_older_version_resumes_when_it_is_told_its_data(
    sample_folder: Path, tmp_path: Path, one_line: OneLine
) -> None:
    finished([*TRAIN, "--data", str(sample_folder), *SMALL, "-o", "run"], tmp_path)
    path = tmp_path / "run/model.pt"
    contents = load_contents(path)
    del contents["source"]
    save_contents(path, contents)
    status, line = one_line(main, "--resume", "-o", "run")
    assert (status, "add --data" in line) == (1, True)
    status, line = one_line(evaluate, "run/model.pt")
    assert (status, "add --data" in line) == (1, True)
    command = [*TRAIN, "--resume", "-o", "run", "--epochs", "2", "--limit", "100", "--data"]
    finished([*command, str(sample_folder)], tmp_path)
    assert load_contents(path)["source"] == {"data": str(sample_folder), "limit": 100}
    # What isn't said is the sample without its limit.
    assert "300 images" in finished([*EVALUATE, "run/model.pt", "--samples", "1"], tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--batch-size", "0"], "--batch-size must be at least 1, not 0"),
        (["--batch-size", "x"], "'x' is not a valid integer"),
        (["--learning-rate", "nan"], "--learning-rate must be positive and finite, not nan"),
        (["--beta", "-0.5"], "--beta must be at least 0, not -0.5"),
        (["--beta", "inf"], "--beta must be finite, not inf"),
        (["--networks", "wide"], "'wide' is not one of"),
        (["--optimizer", "lion"], "'lion' is not one of"),
        (["--threads", "0"], "0 is not in the range"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_ends_with_status_2(
    tmp_path: Path, one_line: OneLine, arguments: list[str], reason: str
) -> None:
    status, line = one_line(main, *arguments, "-o", "run")
    assert status == 2
    assert reason in line
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten(
    sample_folder: Path, tmp_path: Path, one_line: OneLine
) -> None:
    (tmp_path / "model.pt").write_text("mine")
    status, line = one_line(main, "--data", sample_folder, *SMALL, "-o", ".")
    assert status == 1
    assert "exists: continue it with --resume" in line
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_an_output_folder_that_cannot_be_made_is_one_line(
    sample_folder: Path, tmp_path: Path, one_line: OneLine
) -> None:
    (tmp_path / "file").touch()
    status, line = one_line(main, "--data", sample_folder, *SMALL, "-o", "file/run")
    assert status == 1
    assert "file/run: cannot be created" in line


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="needs a folder that even root cannot write to"
)
def test_a_read_only_output_folder_is_one_line_before_training(
    sample_folder: Path, one_line: OneLine
) -> None:
    status, line = one_line(main, "--data", sample_folder, *SMALL, "-o", "/proc/self")
    assert status == 1
    assert "cannot be written" in line


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_line_and_leaves_no_checkpoint(
    sample_folder: Path, tmp_path: Path
) -> None:
    def limit_file_size() -> None:
        # No file may grow beyond a megabyte; the kernel says EFBIG as it would say ENOSPC.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))

    command = [*TRAIN, "--data", str(sample_folder), *SMALL, "-o", "run"]
    message = failed(command, tmp_path, before_start=limit_file_size)
    assert "run/best.pt: cannot be written: File too large" in message
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["history.csv"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--data", "absent"], "absent: no such folder"),
        (["--data", "."], "train-images-idx3-ubyte (or train-images-idx3-ubyte.gz) is missing"),
        (["--data", "few.npy"], "few.npy: 5 images are too few; at least 10 are needed"),
        (["--data", "SAMPLE", "--device", "cuda:99"], "--device cuda:99"),
        (["--data", "SAMPLE", "--device", "abacus"], "--device abacus: not a device"),
        (["--data", "SAMPLE", "--device", "mps"], "--device mps: not a device"),
        (["--data", "SAMPLE", "--device", "cuda:x"], "--device cuda:x: not a device"),
        (["--data", "SAMPLE", "--device", "cpu:0"], "--device cpu:0: not a device"),
        (["--data", "SAMPLE", "--resume"], "nothing to resume"),
        (["--data", "SAMPLE", "--image-size", "25"], "images of 25×25 cannot be halved"),
        (["--data", "SAMPLE", "--image-size", "32"], "its images are 28×28, not 32×32"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    sample_folder: Path, tmp_path: Path, one_line: OneLine, arguments: list[str], reason: str
) -> None:
    np.save(tmp_path / "few.npy", np.zeros((5, 28, 28), np.uint8))
    real = [str(sample_folder) if argument == "SAMPLE" else argument for argument in arguments]
    status, line = one_line(main, *real, *SMALL, "-o", "run")
    assert status == 1
    assert reason in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 truncated", b"\x80\x04K\x01."])
def test_what_is_no_checkpoint_cannot_be_evaluated(
    sample_folder: Path, tmp_path: Path, one_line: OneLine, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    status, line = one_line(evaluate, "model.pt", "--data", sample_folder)
    assert status == 1
    assert "model.pt: " in line


@pytest.mark.parametrize("module", ["torch", "tqdm"])
@pytest.mark.parametrize(
    ("command", "name"), [(TRAIN, "vae-train"), ([*EVALUATE, "model.pt"], "vae-eval")]
)
@pytest.mark.slow
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, command: list[str], name: str, module: str
) -> None:
    absent = f"raise ModuleNotFoundError('no {module}', name='{module}')"
    (tmp_path / f"{module}.py").write_text(absent)
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    message = failed(command, tmp_path, environment=environment)
    assert f'{name} needs {module}: pip install ".[train]"' in message


@pytest.mark.slow
def test_kill_9_leaves_a_checkpoint_that_resumes(sample_folder: Path, tmp_path: Path) -> None:
    command = [*TRAIN, "--data", str(sample_folder), "--limit", "100", "-o", "run"]
    command += ["--epochs", "60"]
    reached = 0
    for seconds in (0.0, 0.13, 0.31):
        process = started(command, tmp_path, "epoch")
        time.sleep(seconds)
        process.kill()
        process.communicate()
        reached = load_contents(tmp_path / "run/model.pt")["position"]["epoch"]
        if "--resume" not in command:
            command.append("--resume")
    assert reached >= 3


@pytest.mark.slow
def test_color_photographs_of_64_pixels_through_train_and_eval(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos")
    environment = {"VAE_EDGE_CACHE": str(tmp_path / "cache")}
    command = [*TRAIN, "--data", "photos", "--image-size", "64", "--latent-dim", "5"]
    command += ["--likelihood", "gaussian", "--epochs", "1", "-o", "run"]
    assert finished(command, tmp_path, environment).stderr == ""
    saved = load_checkpoint(tmp_path / "run/model.pt")
    assert saved.config.image_shape == (3, 64, 64)
    assert saved.likelihood.name == "gaussian"
    assert saved.label_names == ("cool", "warm")
    command = [*EVALUATE, "run/model.pt", "run/model.pt", "--importance", "20"]
    done = finished(command, tmp_path, environment)
    assert done.stderr == ""
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:]] == [
        "test ELBO",
        "reconstruction",
        "KL",
        "importance-weighted, K = 20",
        "active units",
    ]


@pytest.mark.slow
def test_exact_log_p_of_x_stands_beside_the_elbo(
    sample_folder: Path, tmp_path: Path, one_line: OneLine
) -> None:
    command = [*TRAIN, "--data", str(sample_folder), "--epochs", "1", "--limit", "20"]
    finished([*command, "-o", "run"], tmp_path)
    done = finished([*EVALUATE, "run/model.pt", "--exact", "--samples", "1"], tmp_path)
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:]] == [
        "test ELBO",
        "reconstruction",
        "KL",
        "ELBO of refined inference",
        "exact log p(x)",
        "inference gap, log p(x) - ELBO",
        "amortization gap",
        "approximation gap",
        "prior's mass without data",
        "active units",
    ]
    finished([*command, "--latent-dim", "3", "-o", "three"], tmp_path)
    status, line = one_line(evaluate, "three/model.pt", "--exact")
    assert status == 1
    assert "three/model.pt: exact log p(x) needs one or two latent dimensions, not 3" in line


@pytest.mark.slow
def test_own_images_are_told_of_before_training(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos" / "train")
    write_photographs(tmp_path / "photos" / "val")
    environment = {"VAE_EDGE_CACHE": str(tmp_path / "cache")}
    command = [*TRAIN, "--data", "photos", "--image-size", "32", "--epochs", "1", "-o", "run"]
    done = finished([*command, "--threads", "1"], tmp_path, environment)
    images, labels, networks, training, device, epoch, _ = done.stdout.splitlines()
    assert images == (
        "images    photos: 40 training images and 40 test images (those in val/), 32×32, color"
    )
    assert labels == "labels    2: cool (20), warm (20)"
    assert networks.startswith("networks  reference with 2 latent dimensions; encoder ")
    assert training.startswith("training  preset default: 1 epoch of 1 step of 64 images")
    assert device.endswith(", 1 thread")
    assert epoch.startswith("epoch 1/1")
    assert done.stderr.startswith("Hint: these images are in color")
    assert "--likelihood gaussian" in done.stderr


def write_photographs(folder: Path) -> None:
    """40 JPEGs of 70×90 random pixels, half of them warm/, half cool/."""
    rng = np.random.default_rng(0)
    for i in range(40):
        label = folder / ("warm" if i % 2 else "cool")
        label.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((70, 90)).save(label / f"{i}.jpg")


def test_help_names_every_choice_of_the_fixed_sets() -> None:
    done = subprocess.run(
        [*TRAIN, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "[default|quick|best|exact|book]" in done.stdout
    assert "[bernoulli|continuous_bernoulli|gaussian]" in done.stdout


def test_a_table_is_as_wide_as_its_widest_cell() -> None:
    columns = [{"KL": "1.00 ± 0.10", "active units": "2 of 2"}, {"KL": "7", "active units": "8"}]
    assert table("10 images", ["a/model.pt", "b.pt"], columns) == [
        "10 images                           a/model.pt          b.pt",
        "KL                                 1.00 ± 0.10             7",
        "active units                            2 of 2             8",
    ]
    (first, *_) = table("10 images", ["a/rather/long/model.pt"], [{"KL": "7"}])
    assert first.endswith("  a/rather/long/model.pt")


def test_an_interval_is_the_mean_and_half_of_its_95_percent() -> None:
    assert interval(np.array([1.0, 3.0] * 50)) == "2.00 ± 0.20"
