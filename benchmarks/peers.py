"""The same encoder and decoder in torch, onnxruntime, OpenVINO and as our bundle, each as a function on arrays."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

import vae_runtime
from vae_train.checkpoint import Checkpoint

Run = Callable[[NDArray[np.float32]], Any]


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
        if node.op_type in ("Conv", "ConvTranspose", "Gemm"):
            # A transposed convolution multiplies once per input pixel, an ordinary one once per output pixel.
            places = shapes[node.input[0] if node.op_type == "ConvTranspose" else node.output[0]][2:]
            total += int(np.prod(weights[node.input[1]]) * np.prod(places or [1]))
    return total


def peers(saved: Checkpoint, bundle: Path, what: str, threads: int, compiled: bool) -> Iterator[tuple[str, Run]]:
    """Name and function of everyone who can `decode` or `encode` here; the plain graph comes first."""
    module = saved.model.decoder if what == "decode" else saved.model.encoder
    shape = (saved.config.latent_dim,) if what == "decode" else saved.config.image_shape
    graph = plain_graph(module, torch.rand(3, *shape))
    torch.set_num_threads(threads)
    yield "plain ONNX", _onnxruntime(graph, threads)
    yield "torch eager", _torch(module)
    if compiled:
        yield "torch.compile", _torch(torch.compile(module, dynamic=True))
    yield from _openvino(graph, threads)
    for precision in vae_runtime.load(bundle, provider="cpu").bundle.precisions:
        vae = vae_runtime.load(bundle, provider="cpu", precision=precision, threads=threads)
        yield f"ours {precision}", vae.decode if what == "decode" else vae.encode


def _onnxruntime(graph: bytes, threads: int) -> Run:
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


def _openvino(graph: bytes, threads: int) -> Iterator[tuple[str, Run]]:
    """Pinned to float32, and as it comes (which is bfloat16 on some CPUs)."""
    try:
        import openvino  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        return
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(graph)
        file.flush()
        model = openvino.Core().read_model(file.name)
    for name, more in (("OpenVINO f32", {"INFERENCE_PRECISION_HINT": "f32"}), ("OpenVINO", {})):
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **more}
        yield name, openvino.Core().compile_model(model, "CPU", options)
