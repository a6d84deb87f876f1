"""Where downloaded and converted data is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$VAE_EDGE_CACHE, else vae-edge in $XDG_CACHE_HOME, else in ~/.cache."""
    chosen = os.environ.get("VAE_EDGE_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vae-edge"
