"""What several tests of the runtime use."""

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).parent / "data"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def zipped(folder: Path, file: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    """A bundle's folder as one file."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return file
