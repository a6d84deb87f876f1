"""Whole commands, killed at random moments: training, exporting, encoding.

Each runs in a forked child, which has torch already: hundreds of kills don't import it anew.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

import vae_runtime
from vae_export.cli import command as export_command
from vae_runtime.cli.commands.encode import command as encode_command
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint, load_contents
from vae_train.cli import train_command

SAMPLE = Path(__file__).parents[1] / "data" / "mnist"
IMAGES = SAMPLE / "t10k-images-idx3-ubyte.gz"
FAILED = 1


def train(folder: Path) -> None:
    """A run of two epochs; where there is one, whole or killed, two epochs more of it."""
    run = folder / "run"
    options: list[object] = ["--data", SAMPLE, "--limit", 30]
    epochs = 2
    if (run / "model.pt").exists():
        options = ["--resume"]
        epochs += load_contents(run / "model.pt")["position"]["epoch"]
    options += ["--epochs", epochs, "-o", run]
    train_command.main(list(map(str, options)), standalone_mode=False)


def export(folder: Path) -> None:
    options = [folder / "run" / "model.pt", "--force", "-o", folder / "run.vae"]
    export_command.main(list(map(str, options)), standalone_mode=False)


def encode(folder: Path) -> None:
    """A zip of numpy's, like every .npz."""
    options = [IMAGES, "-o", folder / "z.npz"]
    encode_command.main(list(map(str, options)), standalone_mode=False)


COMMANDS: dict[str, Callable[[Path], None]] = {
    "vae-train": train,
    "vae-export": export,
    "vae-run encode": encode,
}


def kill_often(kind: str, folder: Path, kills: int, first_seed: int = 0) -> list[str]:
    """The defects after so many kills of one command, and after a last run that clears up."""
    if kind == "vae-export":
        _run_in_child(train, folder)
    seconds = _run_in_child(COMMANDS[kind], folder)
    defects = defects_in(folder)
    for seed in range(first_seed, first_seed + kills):
        _run_in_child(COMMANDS[kind], folder, Random(seed).random() * seconds)
        defects += [f"seed {seed}: {defect}" for defect in defects_in(folder)]
    _run_in_child(COMMANDS[kind], folder)
    hidden = [str(path) for path in folder.rglob(".*")]
    if hidden:
        defects.append(f"the last run left {hidden}")
    return defects


def _run_in_child(
    command: Callable[[Path], None], folder: Path, kill_after: float | None = None
) -> float:
    """Run a command in a forked child, killed after so many seconds; how long it took."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        _end_with(command, folder)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if kill_after is None and status:
        raise AssertionError(f"{command.__name__} failed")
    return time.monotonic() - began


def _end_with(command: Callable[[Path], None], folder: Path) -> None:
    """What the child does; it never returns."""
    status = FAILED
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        command(folder)
        status = 0
    finally:
        os._exit(status)


def defects_in(folder: Path) -> list[str]:
    """What isn't whole among the files that have a final name."""
    defects = []
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            _require_whole(path)
        except (VAEError, OSError, ValueError, SyntaxError) as error:
            defects.append(f"{path.name}: {type(error).__name__}: {error}")
    return defects


def _require_whole(path: Path) -> None:
    """Raise an error unless a file, or a bundle, is what its name says."""
    if path.suffix == ".pt":
        load_checkpoint(path)
    elif path.suffix == ".vae":
        with vae_runtime.load(path, provider="cpu", threads=1) as vae:
            vae.check()
    elif path.suffix in (".png", ".gif"):
        with Image.open(path) as picture:
            picture.load()
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            _require_rows([arrays[name] for name in arrays.files])
    elif path.suffix == ".csv" and not path.read_text().endswith("\n"):
        raise ValueError("cut off")


def _require_rows(arrays: Sequence[np.ndarray]) -> None:
    if not arrays or len({len(array) for array in arrays}) != 1:
        raise ValueError("arrays of different lengths")
