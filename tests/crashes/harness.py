"""Kill a writer at a random moment, look at what is left, and let the next run clean up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from tests.crashes.writers import READY, WRITERS

import vae_runtime
from vae_runtime import VAEError
from vae_runtime.formats.latents import read_latents

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 0.05
PIXELS = 784
TARGETS = {
    "bundle": "b.vae",
    "array": "a.npy",
    "picture": "p.png",
    "folder": "f",
    "zip": "z.npz",
}


def kill_once(kind: str, folder: Path, rng: Random) -> list[str]:
    """The defects after one kill -9."""
    target = folder / TARGETS[kind]
    command = [sys.executable, "-m", "tests.crashes.writers", kind, str(target)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != READY:
            process.kill()
            return ["the writer did not start"]
        time.sleep(rng.random() * MAX_SECONDS)
        process.kill()
    defects = _defects_of(kind, target)
    visible = [name for name in os.listdir(folder) if not name.startswith(".")]
    if set(visible) - {target.name}:
        defects.append(f"partial output under a name of its own: {visible}")
    WRITERS[kind](target, 0)
    left = sorted(set(os.listdir(folder)) - {target.name})
    if left:
        defects.append(f"the next run left {left}")
    return defects


def _defects_of(kind: str, target: Path) -> list[str]:
    try:
        if kind == "bundle":
            vae_runtime.load(target, provider="cpu", threads=1).check()
        elif kind == "array":
            if np.load(target).shape[0] not in (32, 64):
                return ["half an array"]
        elif kind == "zip":
            if len(read_latents(target, PIXELS)) not in (32, 64):
                return ["half the latents"]
        elif kind == "picture":
            Image.open(target).load()
        elif target.exists() and len(list(target.iterdir())) != 8:
            return ["half a folder"]
    except (VAEError, OSError, ValueError, SyntaxError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []
