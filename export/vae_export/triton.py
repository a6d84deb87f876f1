"""A model repository for NVIDIA's Triton Inference Server: a bundle's decoder and encoder.

Format: model_config.proto of triton-inference-server/common; the parameters are those of its
onnxruntime backend. One model serves GPU and CPU: GPU instances take the portable graph, by compute
capability, all others the rewrite for CPUs where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import onnx

from vae_export import parity
from vae_runtime.bundle import Bundle, read_bundle
from vae_runtime.bundle.packing import bundle_files
from vae_runtime.bundle.records import MAX_SIZED_PIXELS
from vae_runtime.engine.conditions import BLOCKED_LAYOUTS
from vae_runtime.engine.providers import CPU
from vae_runtime.engine.session import ACCELERATOR_NUMBERS
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import make_folder, replacing_folder

CONFIG = "config.pbtxt"
VERSION = "1"
FIRST_LINE = "# Written by vae-export, for Triton's onnxruntime backend."
# What a config needs no escapes for, and a URL neither.
PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
PORTABLE_FILE = "model.onnx"
CPU_FILE = "model.cpu.onnx"
# Of NVIDIA's GPUs since Pascal; a later one gets the CPU's graph, which is slower there and right.
COMPUTE_CAPABILITIES = (
    *("6.0", "6.1", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0"),
    *("10.0", "10.1", "10.3", "11.0", "12.0", "12.1"),
)
# Names and what they do: threads that don't spin, memory given back after each call, arenas that
# grow by what is needed, and no search among kernels for every size of a batch.
PARAMETERS = {
    "intra_op_thread_count": "1",
    "memory.enable_memory_arena_shrinkage": "cpu:0",
    "arena_extend_strategy": "1",
    "cudnn_conv_algo_search": "1",
}


def require_room(bundle: Path, repository: Path, *, force: bool = False) -> None:
    """Raise VAEError where `write_triton_models` could not write the models of this bundle."""
    if not PLAIN_NAME.fullmatch(bundle.stem):
        raise VAEError(
            f"{bundle.stem!r} gives no name for a model of Triton's: letters, digits, '.', '_' and "
            "'-' do; give the bundle another"
        )
    for folder in _folders(bundle, repository):
        if not folder.exists():
            continue
        if not _is_model(folder):
            raise VAEError(
                f"{folder}: exists and isn't what vae-export writes; choose another repository"
            )
        if not force:
            raise VAEError(f"{folder}: exists; --force replaces it")


def write_triton_models(bundle: Path, repository: Path, *, force: bool = False) -> list[Path]:
    """Write the models NAME_decoder and NAME_encoder of a bundle NAME.vae; returns their folders.

    Other models of the repository stay as they are. Raises VAEError where one of these exists and
    `force` is false, or where vae-export hasn't written what stands there.
    """
    require_room(bundle, repository, force=force)
    files = bundle_files(bundle)
    records = read_bundle(bundle)
    portable = records.variants[0]
    for_cpu = records.variant("fp32", CPU, frozenset({BLOCKED_LAYOUTS}))
    decoders = (portable.decoder, for_cpu.decoder)
    encoders = (portable.encoder, for_cpu.encoder)
    folders = _folders(bundle, repository)
    make_folder(repository)
    for folder, (anywhere, on_cpu) in zip(folders, (decoders, encoders), strict=True):
        graphs = {PORTABLE_FILE: files[anywhere.file]}
        if on_cpu != anywhere:
            graphs[CPU_FILE] = files[on_cpu.file]
        # Where there is one it may be replaced, or this had ended above.
        with replacing_folder(folder, _is_model, "model of Triton's") as temporary:
            _write_model(temporary, graphs, model_config(folder.name, graphs, _max_batch(records)))
    return folders


def _folders(bundle: Path, repository: Path) -> list[Path]:
    """Those of a bundle's decoder and encoder."""
    return [repository / f"{bundle.stem}_decoder", repository / f"{bundle.stem}_encoder"]


def _write_model(folder: Path, graphs: Mapping[str, bytes], config: str) -> None:
    (folder / VERSION).mkdir()
    for name, model_bytes in graphs.items():
        (folder / VERSION / name).write_bytes(model_bytes)
    (folder / CONFIG).write_text(config, "utf-8")


def model_config(name: str, graphs: Mapping[str, bytes], max_batch: int) -> str:
    """The text of a model's config.pbtxt, from its graphs by file name."""
    graph = onnx.load_from_string(graphs[PORTABLE_FILE]).graph
    lines = [
        FIRST_LINE,
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch}",
        *_tensors("input", graph.input),
        *_tensors("output", graph.output),
        "# Requests that wait while all instances are busy are computed together.",
        "dynamic_batching { }",
        "# Of each GPU, or of the CPU where there is none: there, as many as cores are to be used.",
        "instance_group [ { kind: KIND_AUTO count: 1 } ]",
    ]
    if CPU_FILE in graphs:
        lines += _file_names()
    for key, value in PARAMETERS.items():
        lines.append(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')
    return "\n".join(lines) + "\n"


def _file_names() -> list[str]:
    lines = [
        "# GPUs of these compute capabilities run the portable graph, whatever else the CPU's.",
        f'default_model_filename: "{CPU_FILE}"',
    ]
    for capability in COMPUTE_CAPABILITIES:
        lines.append(f'cc_model_filenames {{ key: "{capability}" value: "{PORTABLE_FILE}" }}')
    return lines


def _tensors(kind: str, values: Iterable[onnx.ValueInfoProto]) -> list[str]:
    """One entry for each input or output, its shape without the batch."""
    lines = []
    for value in values:
        dims = ", ".join(map(str, _sizes(value)))
        lines.append(f'{kind} [ {{ name: "{value.name}" data_type: TYPE_FP32 dims: [ {dims} ] }} ]')
    return lines


def _sizes(value: onnx.ValueInfoProto) -> Sequence[int]:
    """The shape without the batch; -1 where a dimension is dynamic."""
    sizes = []
    for dimension in value.type.tensor_type.shape.dim[1:]:
        sizes.append(dimension.dim_value if dimension.HasField("dim_value") else -1)
    return sizes


def _max_batch(bundle: Bundle) -> int:
    """The most images in a batch: as many as are proven against torch, fewer of large ones."""
    channels, height, width = bundle.image_shape
    pixels = MAX_SIZED_PIXELS if bundle.dynamic_size else height * width
    return max(1, min(parity.MAX_BATCH, ACCELERATOR_NUMBERS // (channels * pixels)))


def _is_model(folder: Path) -> bool:
    """Whether an earlier export wrote it."""
    config = folder / CONFIG
    return config.is_file() and config.read_text("utf-8", "replace").startswith(FIRST_LINE)
