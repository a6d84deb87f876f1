"""The same encoder and decoder in torch, onnxruntime, OpenVINO and as our bundle, each as a function on arrays."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

import vae_runtime
from vae_train.checkpoint import load_checkpoint

Run = Callable[[NDArray[np.float32]], Any]
PLAIN = "plain ONNX"


@dataclass(frozen=True)
class Subject:
    """What is measured: a checkpoint, its bundle, and in `plain` the graphs decode.onnx and encode.onnx."""

    checkpoint: Path
    bundle: Path
    plain: Path


def plain_graph(module: torch.nn.Module, example: torch.Tensor) -> bytes:
    """What anyone gets: torch.onnx.export at its default opset, dynamic batch."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def multiplications(graph: bytes) -> int:
    """Multiply-adds per image in the convolutions and matrix products of a plain graph."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    total = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") and node.input[1] in weights:
            # A transposed convolution multiplies once per input pixel, an ordinary one once per output pixel.
            places = shapes[node.input[0] if node.op_type == "ConvTranspose" else node.output[0]][2:]
            total += int(np.prod(weights[node.input[1]]) * np.prod(places or [1]))
    return total


def names(bundle: Path, compiled: bool) -> list[str]:
    """Everyone who can run here, the plain graph first; "ours" once for each precision."""
    found = [PLAIN, "torch eager"]
    found += ["torch.compile"] if compiled else []
    # At its default OpenVINO computes in bfloat16 on some CPUs.
    found += ["OpenVINO f32", "OpenVINO"] if importlib.util.find_spec("openvino") else []
    return [*found, *(f"ours {p}" for p in vae_runtime.load(bundle, provider="cpu").bundle.precisions)]


def build(name: str, subject: Subject, what: str, threads: int) -> Run:
    """The peer `name` as a function that can `decode` or `encode`."""
    torch.set_num_threads(threads)
    if name.startswith("ours"):
        precision = name.removeprefix("ours ")
        vae = vae_runtime.load(subject.bundle, provider="cpu", precision=precision, threads=threads)
        return vae.decode if what == "decode" else vae.encode
    if name.startswith("torch"):
        model = load_checkpoint(subject.checkpoint).model
        module = model.decoder if what == "decode" else model.encoder
        return _torch(torch.compile(module, dynamic=True) if name == "torch.compile" else module)
    graph = subject.plain / f"{what}.onnx"
    return _onnxruntime(graph, threads) if name == PLAIN else _openvino(graph, threads, name)


def _onnxruntime(graph: Path, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda array: session.run(None, {name: array})


def _torch(module: Callable[[torch.Tensor], Any]) -> Run:
    def run(array: NDArray[np.float32]) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(array))

    return run


def _openvino(graph: Path, threads: int, name: str) -> Run:
    import openvino  # type: ignore[import-not-found]

    precision = {"INFERENCE_PRECISION_HINT": "f32"} if name.endswith("f32") else {}
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **precision}
    run: Run = openvino.Core().compile_model(graph, "CPU", options)
    return run
