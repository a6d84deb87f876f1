"""Whole commands that are killed; signals, pipes that close, permissions that go."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.crashes.commands import kill_often

from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file, replacing_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and permissions")
VAE_RUN = [sys.executable, "-m", "vae_runtime"]
# An array that takes minutes to write.
ENDLESS = [*VAE_RUN, "sample", "-n", "5000000", "--seed", "0", "-o", "many.npy"]
NOBODY = 65534


def test_a_killed_encode_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    assert kill_often("vae-run encode", tmp_path, kills=4) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae-train", "vae-export"])
def test_a_killed_command_leaves_whole_files_or_none(kind: str, tmp_path: Path) -> None:
    assert kill_often(kind, tmp_path, kills=4) == []


@pytest.fixture
def endless(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A command that has begun to write."""
    process = subprocess.Popen(
        ENDLESS,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not os.listdir(tmp_path) and process.poll() is None:
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_without_a_trace(
    endless: "subprocess.Popen[str]", number: signal.Signals, status: int, tmp_path: Path
) -> None:
    endless.send_signal(number)
    _, errors = endless.communicate(timeout=60)
    assert endless.returncode == status
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("pause", [0.0, 0.003, 0.03])
def test_a_second_ctrl_c_is_clean_too(
    endless: "subprocess.Popen[str]", pause: float, tmp_path: Path
) -> None:
    endless.send_signal(signal.SIGINT)
    time.sleep(pause)
    endless.send_signal(signal.SIGINT)
    _, errors = endless.communicate(timeout=60)
    assert endless.returncode == 130
    assert errors.strip() == "Error: interrupted"
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["png", "csv"])
def test_a_pipe_that_closes_ends_in_no_traceback(kind: str, tmp_path: Path) -> None:
    command = {
        "png": "sample -n 1000 --seed 0 -o -",
        "csv": f"encode {Path(__file__).parents[1] / 'data/mnist/t10k-images-idx3-ubyte.gz'}",
    }[kind]
    line = f"{' '.join(VAE_RUN)} {command} | head -c 10 >first; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
    assert (tmp_path / "first").stat().st_size == 10


@pytest.mark.parametrize("write", ["file", "folder"])
def test_permissions_withdrawn_midway_are_one_line_and_the_old_output_stays(write: str) -> None:
    writer = {"file": _write_file, "folder": _write_folder}[write]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = folder / "output"
        # Here as root: it also loads what the child without rights may not be able to read.
        writer(folder / "first", b"", lambda: None)
        shutil.rmtree(folder / "first") if write == "folder" else (folder / "first").unlink()
        _give_away(folder)
        assert _in_a_child_without_rights(lambda: writer(target, b"old", lambda: None)) == ""
        refusal = _in_a_child_without_rights(
            lambda: writer(target, b"new", lambda: folder.chmod(0o555))
        )
        assert refusal.startswith(f"{target}: cannot be written: ")
        assert "\n" not in refusal
        assert (target if write == "file" else target / "content").read_bytes() == b"old"
        folder.chmod(0o777)
        assert _in_a_child_without_rights(lambda: writer(target, b"new", lambda: None)) == ""
        assert os.listdir(folder) == ["output"]


def _write_file(target: Path, content: bytes, midway: Callable[[], None]) -> None:
    with atomic_file(target) as temporary:
        temporary.write_bytes(content)
        midway()


def _write_folder(target: Path, content: bytes, midway: Callable[[], None]) -> None:
    with replacing_folder(target, lambda path: True, "folder") as temporary:
        (temporary / "content").write_bytes(content)
        midway()


def _give_away(folder: Path) -> None:
    folder.chmod(0o777)
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)


def _in_a_child_without_rights(work: Callable[[], None]) -> str:
    """What `work` refuses in a forked child that isn't root, to whom permissions mean nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        answer = ""
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            work()
        except VAEError as error:
            answer = str(error)
        except BaseException as error:
            answer = f"foreign: {error!r}"
        finally:
            os.write(writer, answer.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
