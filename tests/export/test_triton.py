"""Model repositories for NVIDIA's Triton: what its schema allows, and graphs that keep to it."""

import importlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.export.processes import run_export

import vae_runtime
from vae_export.triton import PARAMETERS, require_room, write_triton_models
from vae_runtime.errors import VAEError
from vae_runtime.vae import EMBEDDED_BUNDLE

TINY = Path(__file__).parents[1] / "runtime" / "data" / "tiny.vae"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's models."""
    folder = tmp_path_factory.mktemp("triton") / "models"
    written = write_triton_models(EMBEDDED_BUNDLE, folder)
    assert [path.name for path in written] == ["digits_decoder", "digits_encoder"]
    return folder


def test_each_model_has_a_version_with_the_graphs_that_its_configuration_names(
    repository: Path,
) -> None:
    files = {path.relative_to(repository).as_posix() for path in repository.rglob("*.*")}
    assert files == {
        "digits_decoder/config.pbtxt",
        "digits_decoder/1/model.onnx",
        "digits_decoder/1/model.cpu.onnx",
        "digits_encoder/config.pbtxt",
        "digits_encoder/1/model.onnx",
    }
    portable = (EMBEDDED_BUNDLE / "encoder.onnx").read_bytes()
    assert (repository / "digits_encoder/1/model.onnx").read_bytes() == portable
    config = (repository / "digits_decoder/config.pbtxt").read_text("utf-8")
    assert 'default_model_filename: "model.cpu.onnx"' in config
    assert re.findall(r'key: "9.0" value: "(.*)"', config) == ["model.onnx"]


@pytest.mark.parametrize("file", ["model.onnx", "model.cpu.onnx"])
def test_the_server_would_run_either_graph_in_the_largest_batch(
    repository: Path, file: str
) -> None:
    config = (repository / "digits_decoder/config.pbtxt").read_text("utf-8")
    (batch,) = re.findall(r"max_batch_size: (\d+)", config)
    # The server's session has these options, and each call gives memory back.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(PARAMETERS["intra_op_thread_count"])
    call = onnxruntime.RunOptions()
    key = "memory.enable_memory_arena_shrinkage"
    call.add_run_config_entry(key, PARAMETERS[key])
    path = repository / "digits_decoder/1" / file
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    z = np.random.default_rng(0).standard_normal((int(batch), 2), np.float32)
    (images,) = session.run(["image"], {"z": z}, call)
    with vae_runtime.load(provider="cpu") as vae:
        np.testing.assert_allclose(images, vae.decode(z), atol=1e-5)


def test_other_models_of_a_repository_stay_and_none_is_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "other" / "1").mkdir(parents=True)
    write_triton_models(TINY, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(VAEError, match="tiny_decoder: exists; --force replaces it"):
        write_triton_models(TINY, tmp_path)
    write_triton_models(TINY, tmp_path, force=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_model_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "tiny_encoder").mkdir()
    (tmp_path / "tiny_encoder" / "diary.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(VAEError, match="tiny_encoder: exists and isn't what vae-export writes"):
            write_triton_models(TINY, tmp_path, force=force)
    assert not (tmp_path / "tiny_decoder").exists()


def test_a_model_of_somebody_elses_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "tiny_encoder").mkdir()
    config = tmp_path / "tiny_encoder" / "config.pbtxt"
    config.write_text('backend: "python"')
    with pytest.raises(VAEError, match="isn't what vae-export writes"):
        write_triton_models(TINY, tmp_path, force=True)
    assert config.read_text() == 'backend: "python"'


def test_a_name_that_no_model_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VAEError, match="""'my"x' gives no name for a model of Triton's"""):
        require_room(Path('my"x.vae'), tmp_path)


@pytest.mark.slow
def test_the_command_writes_the_repository_too(checkpoint: Path, tmp_path: Path) -> None:
    options = ("--triton", tmp_path / "models", "-o", tmp_path / "digits.vae")
    result = run_export(checkpoint, *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert str(tmp_path / "models" / "digits_decoder") in result.stdout
    assert (tmp_path / "models" / "digits_encoder" / "1" / "model.onnx").is_file()


@pytest.mark.install
def test_the_configurations_follow_tritons_published_schema(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = published_schema(tmp_path, monkeypatch)
    text_format = importlib.import_module("google.protobuf.text_format")
    for part, ports in {"decoder": ["z", "image"], "encoder": ["image", "z_mean"]}.items():
        folder = repository / f"digits_{part}"
        config = text_format.Parse(
            (folder / "config.pbtxt").read_text("utf-8"), schema.ModelConfig()
        )
        assert config.name == folder.name
        assert config.backend == "onnxruntime"
        assert config.HasField("dynamic_batching")
        assert config.max_batch_size == 256
        assert [config.input[0].name, config.output[0].name] == ports
        assert config.input[0].data_type == schema.TYPE_FP32
        assert config.instance_group[0].kind == schema.ModelInstanceGroup.KIND_AUTO
        names = {config.default_model_filename or "model.onnx", *config.cc_model_filenames.values()}
        for name in names:
            session = onnxruntime.InferenceSession(folder / "1" / name)
            for port, said in zip(session.get_inputs(), config.input, strict=True):
                assert (port.name, port.shape[1:]) == (said.name, list(said.dims))
            for port, said in zip(session.get_outputs(), config.output, strict=True):
                assert (port.name, port.shape[1:]) == (said.name, list(said.dims))
        with pytest.raises(text_format.ParseError):
            text_format.Parse('max_batch: "a word"', schema.ModelConfig())


def published_schema(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """model_config.proto, compiled, as NVIDIA's package tritonclient carries it."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*pip, "tritonclient"], check=True, capture_output=True)
    (wheel,) = folder.glob("tritonclient-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract("tritonclient/grpc/model_config_pb2.py", folder)
    # By itself: its package would import grpc.
    monkeypatch.syspath_prepend(folder / "tritonclient" / "grpc")
    return importlib.import_module("model_config_pb2")
