"""A bundle may be one file, which is trusted no more than a folder."""

import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.helpers import DATA, zipped

import vae_runtime
from vae_runtime import BundleError

TINY = DATA / "tiny.vae"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return zipped(TINY, tmp_path / "tiny.zip.vae")


def test_a_file_its_bytes_and_an_open_file_are_the_folder(file: Path) -> None:
    expected = vae_runtime.load(TINY, provider="cpu").sample(3, seed=0).tobytes()
    with file.open("rb") as opened:
        for source in (file, str(file), file.read_bytes(), opened):
            vae = vae_runtime.load(source, provider="cpu")
            assert vae.sample(3, seed=0).tobytes() == expected
            assert max(vae.check().values()) < 1e-4
            vae.verify()
            assert pickle.loads(pickle.dumps(vae)).sample(3, seed=0).tobytes() == expected


def test_a_moved_file_opens_where_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    vae = vae_runtime.load(file.name, provider="cpu")
    monkeypatch.chdir("/")
    assert len(vae.sample(1)) == 1


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    file = zipped(TINY, tmp_path / "a.vae", zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleError, match=r"a.vae: \S+: compressed or encrypted"):
        vae_runtime.load(file)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", "..", "a\\b", "c:x"])
def test_members_with_a_path_are_refused(file: Path, name: str) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BundleError, match="is not a plain name"):
        vae_runtime.load(file)


def test_a_name_that_stands_there_twice_is_refused(file: Path) -> None:
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(file, "a") as archive,
    ):
        archive.writestr("decoder.onnx", b"another")
    with pytest.raises(BundleError, match=r"'decoder.onnx' is there twice"):
        vae_runtime.load(file)


def test_too_many_members_are_refused(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        for i in range(70):
            archive.writestr(str(i), b"")
    with pytest.raises(BundleError, match="members, more than 64"):
        vae_runtime.load(file)


def test_what_is_no_zip_or_no_bundle_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.vae").write_text("hello")
    with pytest.raises(BundleError, match="text.vae: not a bundle: neither a folder nor a zip"):
        vae_runtime.load(tmp_path / "text.vae")
    with pytest.raises(BundleError, match="bundle in memory: not a bundle"):
        vae_runtime.load(b"hello")
    with zipfile.ZipFile(tmp_path / "empty.vae", "w"):
        pass
    with pytest.raises(BundleError, match="there is no bundle.json in it"):
        vae_runtime.load(tmp_path / "empty.vae")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_to_a_zip_is_a_bundle_error_or_none(file: Path, data: st.DataObject) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(len(content) // 2, len(content)))
    try:
        vae_runtime.load(bytes(content[:cut]), provider="cpu").verify()
    except BundleError:
        return


def test_a_folder_is_still_a_folder(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "tiny.vae")
    assert vae_runtime.load(tmp_path / "tiny.vae", provider="cpu").path == tmp_path / "tiny.vae"


def test_what_lies_beside_a_bundle_is_told_what_was_meant(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "run" / "model.vae")
    (tmp_path / "run" / "model.pt").write_bytes(b"PK")
    with pytest.raises(BundleError, match=r"did you mean .*model.vae\?"):
        vae_runtime.load(tmp_path / "run")
    with pytest.raises(BundleError, match=r"is a checkpoint; make a bundle of it: vae-export"):
        vae_runtime.load(tmp_path / "run" / "model.pt")
    with pytest.raises(BundleError, match=r"is a file of a bundle; give the bundle, .*model.vae"):
        vae_runtime.load(tmp_path / "run" / "model.vae" / "bundle.json")
