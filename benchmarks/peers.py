"""The same encoder and decoder in torch, onnxruntime, OpenVINO and as our bundle, as functions."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnxruntime
import torch

import vae_runtime
from vae_runtime.arrays import Float32
from vae_runtime.bundle import GraphPrecision
from vae_runtime.engine.providers import CPU
from vae_train.checkpoint import load_checkpoint

Method = Literal["decode", "encode"]
Run = Callable[[Float32], Any]

# The peer that all others are compared with.
PLAIN = "plain ONNX"
OURS = "ours"


@dataclass(frozen=True)
class Subject:
    """What is measured: a checkpoint, its bundle, and a folder with decode.onnx and encode.onnx."""

    checkpoint: Path
    bundle: Path
    plain_graphs: Path

    def plain_graph(self, method: Method) -> Path:
        return self.plain_graphs / f"{method}.onnx"


def peer_names(bundle: Path, compiled: bool) -> list[str]:
    """All that can run here, the plain graph first; "ours" once for each precision."""
    names = [PLAIN, "torch eager"]
    if compiled:
        names.append("torch.compile")
    if importlib.util.find_spec("openvino"):
        # At its default OpenVINO computes in bfloat16 on some CPUs.
        names += ["OpenVINO f32", "OpenVINO"]
    with vae_runtime.load(bundle, provider="cpu") as vae:
        names += [f"{OURS} {precision}" for precision in vae.bundle.precisions]
    return names


def build(name: str, subject: Subject, method: Method, threads: int) -> Run:
    """The peer `name` as a function on arrays."""
    torch.set_num_threads(threads)
    if name == PLAIN:
        return _onnxruntime(subject.plain_graph(method), threads)
    if name.startswith(OURS):
        return _ours(subject.bundle, method, threads, precision=name.removeprefix(f"{OURS} "))
    if name.startswith("torch"):
        return _torch(subject.checkpoint, method, compiled=name == "torch.compile")
    return _openvino(subject.plain_graph(method), threads, in_float32=name.endswith("f32"))


def _ours(bundle: Path, method: Method, threads: int, precision: str) -> Run:
    graph_precision: GraphPrecision = "int8" if precision == "int8" else "fp32"
    vae = vae_runtime.load(bundle, provider="cpu", precision=graph_precision, threads=threads)
    return vae.decode if method == "decode" else vae.encode


def _onnxruntime(graph: Path, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=[CPU])
    name = session.get_inputs()[0].name

    def run(array: Float32) -> Any:
        return session.run(None, {name: array})

    return run


def _torch(checkpoint: Path, method: Method, compiled: bool) -> Run:
    model = load_checkpoint(checkpoint).model
    module: Callable[[torch.Tensor], Any] = model.decoder if method == "decode" else model.encoder
    if compiled:
        module = torch.compile(module, dynamic=True)

    def run(array: Float32) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(array))

    return run


def _openvino(graph: Path, threads: int, in_float32: bool) -> Run:
    import openvino  # Optional: benchmarks run without it.

    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if in_float32:
        options["INFERENCE_PRECISION_HINT"] = "f32"
    run: Run = openvino.Core().compile_model(graph, "CPU", options)
    return run
