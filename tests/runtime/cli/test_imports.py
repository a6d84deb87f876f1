"""Commands load no more than they need."""

import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_help_loads_neither_numpy_nor_onnxruntime() -> None:
    code = (
        "import sys\n"
        "from vae_runtime.cli import group\n"
        "group.main(['--help'], standalone_mode=False)\n"
        "print(sorted({'numpy', 'onnxruntime', 'PIL', 'torch', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


EVERY_MODULE = """
import importlib, pkgutil, sys
import vae_runtime

for module in pkgutil.walk_packages(vae_runtime.__path__, "vae_runtime."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in ("pyarrow", "ray"):  # The extra [ray] brings these two.
            raise
vae_runtime.load(provider="cpu").sample(2)
print(sorted({"torch", "onnx", "vae_train", "vae_export"} & set(sys.modules)))
"""


def test_running_loads_neither_torch_nor_onnx_nor_the_other_packages() -> None:
    done = subprocess.run([sys.executable, "-c", EVERY_MODULE], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_grid_loads_neither_pillow_nor_openssl_nor_logging(tmp_path: Path) -> None:
    script = (
        "import sys; from vae_runtime.cli import group; "
        "group.main(['grid'], standalone_mode=False); "
        "print(sorted({'PIL', '_hashlib', 'logging'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["grid.png", "[]"]
    assert Image.open(tmp_path / "grid.png").size == (420, 420)
