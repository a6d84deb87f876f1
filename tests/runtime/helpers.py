"""What several tests of the runtime use."""

import subprocess
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).parent / "data"
Run = Callable[..., "subprocess.CompletedProcess[str]"]
