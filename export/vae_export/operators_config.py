"""Which operators a device's onnxruntime must have: for reduced builds (`--include_ops_by_config`).

Format: onnxruntime's required_operators.config, a line `domain;opset;operator,operator` each. As
onnxruntime fuses nodes when it loads a graph, the fused ones are listed as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx
import onnxruntime

from vae_export.ort import LOG_FATAL_ONLY
from vae_runtime.engine.providers import CPU
from vae_runtime.formats.files import atomic_file

DEFAULT_DOMAIN = "ai.onnx"
# Blocked layouts (ALL) are of this machine's CPU; EXTENDED has the fusions that every CPU gets.
LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)


def write_operators_config(file: Path, graphs: Iterable[bytes]) -> None:
    """Write the operators that some serialized graphs need, as they are and fused."""
    found: dict[tuple[str, int], set[str]] = {}
    for model_bytes in graphs:
        model = onnx.load_from_string(model_bytes)
        for version in (model, *_optimized(model_bytes)):
            _collect(version, found)
    lines = ["# Operators of a vae-edge bundle, for onnxruntime's --include_ops_by_config."]
    for (domain, opset), operators in sorted(found.items()):
        lines.append(f"{domain};{opset};{','.join(sorted(operators))}")
    with atomic_file(file) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def _collect(model: onnx.ModelProto, found: dict[tuple[str, int], set[str]]) -> None:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        key = (node.domain or DEFAULT_DOMAIN, opsets[node.domain])
        found.setdefault(key, set()).add(node.op_type)


def _optimized(model_bytes: bytes) -> list[onnx.ModelProto]:
    """The graph as onnxruntime runs it, at each level."""
    models = []
    with tempfile.TemporaryDirectory() as folder:
        for level in LEVELS:
            path = Path(folder) / f"{level.name}.onnx"
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            options.log_severity_level = LOG_FATAL_ONLY
            options.optimized_model_filepath = str(path)
            onnxruntime.InferenceSession(model_bytes, options, providers=[CPU])
            models.append(onnx.load(path))
    return models
