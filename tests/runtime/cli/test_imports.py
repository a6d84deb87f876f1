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


def test_running_loads_neither_torch_nor_onnx_nor_the_other_packages() -> None:
    code = (
        "import sys, vae_runtime, pkgutil, importlib\n"
        "for m in pkgutil.walk_packages(vae_runtime.__path__, 'vae_runtime.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "vae_runtime.load(provider='cpu').sample(2)\n"
        "print(sorted({'torch', 'onnx', 'vae_train', 'vae_export'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
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
