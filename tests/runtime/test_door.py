"""What comes in: regular files, within limits, and what is refused costs next to nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vae_runtime
from vae_runtime import BundleError, VAEError
from vae_runtime.door import MAX_PIXELS, open_file, parse_json, read_file
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.latents import read_latents

GIB = 1 << 30
MAX_MIB = 100
MEASURE = """
import json, resource, sys, time
import numpy, vae_runtime
from pathlib import Path
from vae_runtime.formats.idx import read_idx
from vae_runtime.formats.latents import read_latents
from PIL import Image
Image.init()
vae = vae_runtime.load(provider='cpu')
vae.read(numpy.zeros((28, 28), numpy.float32))
readers = {
    'latents': lambda path: read_latents(path, 2),
    'idx': read_idx,
    'image': vae.read,
    'bundle': lambda path: vae_runtime.load(path, provider='cpu').verify(),
}
kind, path = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    readers[kind](Path(path))
    print('accepted')
except vae_runtime.VAEError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def sparse(path: Path, start: bytes = b"", size: int = 3 * GIB) -> Path:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def png_of_black(path: Path, side: int) -> Path:
    """A PNG that is a thousandth of its pixels, written in parts."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    packer = zlib.compressobj(1)
    rows = b"\0" * (side * 4 + 1)
    data = b"".join([packer.compress(rows) for _ in range(side)]) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def check_bomb(bundle: Path) -> Path:
    """check.npz: gigabytes of zeros in a megabyte."""
    with (
        zipfile.ZipFile(bundle / "check.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header((400_000, 1, 28, 28)))
        for _ in range(300):
            member.write(bytes(1 << 20))
    return bundle


def manifest_of(bundle: Path, text: str) -> Path:
    (bundle / "bundle.json").write_text(text)
    return bundle


def promised_graph(bundle: Path) -> Path:
    """A graph of the size that the manifest promises, of nothing but holes."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    for variant in manifest["variants"]:
        variant["decoder"]["bytes"] = 400 << 20
    sparse(bundle / "decoder.onnx", size=400 << 20)
    return manifest_of(bundle, json.dumps(manifest))


@pytest.mark.parametrize(
    "kind_and_name",
    [
        "latents z.csv",
        "latents z.json",
        "latents z.npy",
        "latents small.csv",
        "latents deep.json",
        "idx bomb-idx-ubyte.gz",
        "idx sparse-idx-ubyte",
        "image large.png",
        "image sparse.png",
        "image sparse.npy",
        "bundle check",
        "bundle manifest",
        "bundle graph",
        "bundle sparse.zip",
    ],
)
def test_a_refused_file_costs_little_memory(
    kind_and_name: str, tmp_path: Path, bundle: Path
) -> None:
    kind, name = kind_and_name.split(" ")
    path = tmp_path / name
    if name == "check":
        path = check_bomb(bundle)
    elif name == "manifest":
        path = manifest_of(bundle, '{"schema": [' + "[]," * (5 << 20) + "0]}")
    elif name == "graph":
        path = promised_graph(bundle)
    elif name == "small.csv":
        path.write_text("name,z_mean_0,z_mean_1\n" + "a,1,2\n" * 200_000 + "a,1\n")
    elif name == "deep.json":
        path.write_text("[" * (8 << 20))
    elif name == "bomb-idx-ubyte.gz":
        with gzip.open(path, "wb", 1) as file:
            file.write(struct.pack(">HBBIII", 0, 8, 3, 300_000, 28, 28))
            for _ in range(100):
                file.write(bytes(1 << 20))
    elif name == "sparse-idx-ubyte":
        sparse(path, struct.pack(">HBBIII", 0, 8, 3, 4_000_000, 28, 28))
    elif name == "large.png":
        png_of_black(path, 5000)
    elif name == "z.npy":
        sparse(path, npy_header((400_000_000, 2)))
    elif name == "sparse.npy":
        sparse(path, npy_header((1000, 800, 900)))
    else:
        sparse(path, {"z.csv": b"name,z_mean_0\n", "z.json": b"["}.get(name, b""))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= MAX_MIB


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipes_devices_folders_and_names_of_no_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, reason in {
        tmp_path / "pipe": "is a pipe",
        Path("/dev/zero"): "is a device",
        tmp_path / "folder": "is a folder",
        tmp_path / "none": "no such file",
        tmp_path / "n\0": "null byte",
        tmp_path / ("n" * 300): "name too long",
    }.items():
        with pytest.raises(VAEError, match=reason):
            read_file(path, 10)


def test_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "eleven").write_bytes(b"x" * 11)
    with pytest.raises(VAEError, match=r"eleven: more than .* too large"):
        read_file(tmp_path / "eleven", 10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_named_like_a_picture_hangs_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    vae = vae_runtime.load(provider="cpu")
    with pytest.raises(VAEError, match="no images in this folder"):
        vae.read(tmp_path)
    with pytest.raises(VAEError, match=r"a.png: is a pipe"):
        vae.read(tmp_path / "a.png")
    os.mkfifo(tmp_path / "z.npy")
    with pytest.raises(VAEError, match=r"z.npy: is a pipe"):
        read_latents(tmp_path / "z.npy", 2)
    os.mkfifo(tmp_path / "bundle.json")
    with pytest.raises(BundleError, match="not a bundle"):
        vae_runtime.load(tmp_path)


def test_a_link_out_of_a_bundle_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "decoder.onnx").rename(tmp_path / "elsewhere.onnx")
    (bundle / "decoder.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"decoder.onnx: is a link"):
        vae_runtime.load(bundle)


def test_a_link_that_appears_after_the_check_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(VAEError, match="is a link"):
        open_file(tmp_path / "link", follow_links=False)
    with open_file(tmp_path / "link") as file:
        assert file.read() == b"secret"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"[]," * 300_000 + b"0]", "too many values"),
        (b"\xff", "utf-8"),
        (b"1" * 5000, "digits"),
    ],
)
def test_json_that_is_not_read(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_a_large_jpeg_is_decoded_smaller_and_others_are_refused(tmp_path: Path) -> None:
    side = 4200
    assert side * side > MAX_PIXELS
    picture = Image.new("L", (side, side))
    picture.paste(255, (1050, 1050, 3150, 3150))
    picture.save(tmp_path / "large.jpg")
    picture.save(tmp_path / "large.png")
    vae = vae_runtime.load(provider="cpu")
    small = vae.read(tmp_path / "large.jpg", fit="stretch")
    expected = vae.read(tmp_path / "large.png", fit="stretch", max_pixels=side * side)
    assert np.abs(small - expected).max() < 0.1
    for name in ("large.png", "large.webp"):
        if name.endswith("webp"):
            picture.save(tmp_path / name)
        with pytest.raises(VAEError, match=rf"{name}: a picture of 4200×4200 .* --max-pixels"):
            vae.read(tmp_path / name)


def test_pillow_says_nothing_of_its_own_limit(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = png_of_black(tmp_path / "huge.png", 100)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 10_000, 10_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    with pytest.raises(VAEError, match="10000×10000"):
        vae_runtime.load(provider="cpu").read(bytes(content))
    assert not [warning for warning in recwarn if "DecompressionBomb" in str(warning.category)]


def test_an_idx_file_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = struct.pack(">HBBIII", 0, 8, 3, 1 << 31, 1 << 31, 2) + b"x"
    for name, packed in {"plain": content, "packed": gzip.compress(content)}.items():
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(VAEError, match="its header promises"):
            read_idx(tmp_path / name)


@pytest.mark.parametrize("descr", ["|O", "<M8[s]", "<c8", "|V9", "<f3", "|S10000"])
def test_numpy_files_of_other_things_than_numbers_are_refused(descr: str, tmp_path: Path) -> None:
    (tmp_path / "z.npy").write_bytes(npy_header((1, 2), descr) + bytes(64))
    with pytest.raises(VAEError, match=r"z.npy: not a readable numpy file"):
        read_latents(tmp_path / "z.npy", 2)


def test_a_damaged_archive_is_a_bundle_error(bundle: Path) -> None:
    content = (bundle / "check.npz").read_bytes()
    vae = vae_runtime.load(bundle, provider="cpu")
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(0, 256)
        cut = damaged[: rng.integers(0, len(content))] if rng.random() < 0.2 else damaged
        (bundle / "check.npz").write_bytes(cut)
        try:
            vae.verify()
        except BundleError as error:
            assert "check.npz" in str(error)  # noqa: PT017


def test_an_array_opened_for_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        vae_runtime.load(provider="cpu").read(io.StringIO("no bytes"))  # type: ignore[arg-type]
