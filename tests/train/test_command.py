"""`vae-train` and `vae-eval` as processes: Ctrl-C, outputs that cannot be written, checkpoints that are none."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_train import report
from vae_train.__main__ import evaluate, main
from vae_train.checkpoint import load_checkpoint, load_contents

TRAIN = [sys.executable, "-m", "vae_train"]
EVALUATE = [sys.executable, "-c", "from vae_train.__main__ import evaluate; evaluate()"]
SMALL = ["--epochs", "1", "--limit", "100"]


def fails(command: list[str], folder: Path, status: int = 1, **options: object) -> str:
    """The one line that a command ends with."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return str(done.stderr)


def test_ctrl_c_saves_and_resume_ends_with_the_bytes_of_an_uninterrupted_run(sample_folder: Path, tmp_path) -> None:
    command = [*TRAIN, "--data", str(sample_folder), "--epochs", "3", "--limit", "200", "-o"]
    subprocess.run([*command, "whole"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    process = subprocess.Popen(
        [*command, "pieces"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1/3")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped; continue with --resume -o pieces" in errors
    done = subprocess.run([*command, "pieces", "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("model.pt", "grid.png", "losses.png", "latents.png"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    rows = (tmp_path / "pieces" / "history.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["epoch", "1", "2", "3"]


def test_a_lost_row_of_the_history_comes_back_with_the_next_epoch(tmp_path: Path) -> None:
    rows = [dict.fromkeys(report.COLUMNS[:-1], float(i)) | {"epoch": i} for i in (1, 2, 3)]
    report.History(tmp_path / "history.csv").write(rows[:1], 1.5)
    report.History(tmp_path / "history.csv").write(rows, 2.5)  # killed between the second checkpoint and its row
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert [(line.split(",")[0], line.split(",")[-1]) for line in lines[1:]] == [("1", "1.5"), ("2", ""), ("3", "2.5")]


def test_an_existing_run_is_not_overwritten(sample_folder: Path, tmp_path: Path, one_line) -> None:
    (tmp_path / "model.pt").write_text("mine")
    status, line = one_line(main, "--data", sample_folder, *SMALL, "-o", ".")
    assert (status, "exists: continue it with --resume" in line) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_an_output_folder_that_cannot_be_made_is_one_line(sample_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file/run: cannot be created" in fails(
        [*TRAIN, "--data", str(sample_folder), *SMALL, "-o", "file/run"], tmp_path
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that even root cannot write to")
def test_a_read_only_output_folder_is_one_line_before_training(sample_folder: Path, tmp_path: Path) -> None:
    assert "cannot be written" in fails([*TRAIN, "--data", str(sample_folder), *SMALL, "-o", "/proc/self"], tmp_path)


def test_a_disk_that_fills_up_is_one_line_and_leaves_no_checkpoint(sample_folder: Path, tmp_path: Path) -> None:
    def limit() -> None:  # no file may grow beyond a megabyte; the kernel says EFBIG as it would say ENOSPC
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    message = fails([*TRAIN, "--data", str(sample_folder), *SMALL, "-o", "run"], tmp_path, preexec_fn=limit)
    assert "run/model.pt: cannot be written: File too large" in message
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["history.csv"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--data", "absent"], "absent: no such folder"),
        (["--data", "."], "train-images-idx3-ubyte (or train-images-idx3-ubyte.gz) is missing"),
        (["--data", "SAMPLE", "--device", "cuda:99"], "--device cuda:99"),
        (["--data", "SAMPLE", "--device", "abacus"], "--device abacus: not a device"),
        (["--data", "SAMPLE", "--device", "mps"], "--device mps: not a device"),
        (["--data", "SAMPLE", "--resume"], "nothing to resume"),
        (["--data", "SAMPLE", "--image-size", "25"], "images of 25×25 cannot be halved"),
        (["--data", "SAMPLE", "--image-size", "32"], "its images are 28×28, not 32×32"),
    ],
)
def test_what_cannot_be_trained_is_one_line(sample_folder: Path, tmp_path: Path, one_line, arguments, reason) -> None:
    arguments = [str(sample_folder) if a == "SAMPLE" else a for a in arguments]
    status, line = one_line(main, *arguments, *SMALL, "-o", "run")
    assert (status, reason in line) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 truncated", b"\x80\x04K\x01."])
def test_what_is_no_checkpoint_cannot_be_evaluated(sample_folder: Path, tmp_path: Path, one_line, content) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    status, line = one_line(evaluate, "model.pt", "--data", sample_folder)
    assert (status, "model.pt: " in line) == (1, True)


@pytest.mark.parametrize(("command", "name"), [(TRAIN, "vae-train"), (EVALUATE, "vae-eval")])
def test_without_torch_it_says_what_to_install(tmp_path: Path, command: list[str], name: str) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    assert f'{name} needs torch and tqdm: pip install "vae-edge[train]"' in fails(command, tmp_path, env=environment)


def test_kill_9_leaves_a_checkpoint_that_resumes(sample_folder: Path, tmp_path: Path) -> None:
    command = [*TRAIN, "--data", str(sample_folder), "--limit", "100", "-o", "run", "--epochs"]
    for moment in (0.0, 0.13, 0.31):
        process = subprocess.Popen(
            [*command, "60", *(["--resume"] if (tmp_path / "run").exists() else [])], cwd=tmp_path,
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch")
        time.sleep(moment)
        process.kill()
        process.wait()
        reached = load_contents(tmp_path / "run/model.pt")["position"]["epoch"]
    assert reached >= 3


def test_colour_photographs_of_64_pixels_through_train_and_eval(tmp_path: Path, one_line) -> None:
    random = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "photos" / ("warm" if i % 2 else "cool")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((70, 90)).save(folder / f"{i}.jpg")
    command = [*TRAIN, "--data", "photos", "--image-size", "64", "--latent-dim", "5", "--likelihood", "gaussian"]
    environment = os.environ | {"VAE_EDGE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [*command, "--epochs", "1", "-o", "run"], cwd=tmp_path, capture_output=True, text=True, env=environment,
        timeout=240,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    saved = load_checkpoint(tmp_path / "run/model.pt")
    assert saved.config.image_shape == (3, 64, 64)
    assert saved.likelihood.name == "gaussian"
    assert saved.label_names == ("cool", "warm")
    done = subprocess.run(
        [*EVALUATE, "run/model.pt", "run/model.pt", "--data", "photos", "--importance", "20"], cwd=tmp_path,
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:]] == [
        "test ELBO", "reconstruction", "KL", "importance-weighted, K = 20", "active units",
    ]  # fmt: skip
