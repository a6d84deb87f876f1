"""Run a plan's graphs in onnxruntime or OpenVINO, with numpy and that engine alone.

python guest.py PLAN onnxruntime PROVIDER
python guest.py PLAN openvino
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (1, …) or more of one input -> every output by name.
Run = Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]


def onnxruntime_graph(graph: str, outputs: list[str], provider: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=[provider])
    assert provider in session.get_providers(), session.get_providers()
    (entry,) = session.get_inputs()

    def run(array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return dict(zip(outputs, session.run(outputs, {entry.name: array}), strict=True))

    return run


def openvino_graph(graph: str, outputs: list[str]) -> Run:
    import openvino

    # At its default OpenVINO computes in bfloat16 on some CPUs.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model: Any = openvino.Core().compile_model(graph, "CPU", options)

    def run(array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        values = model(array)
        return {name: values[name] for name in outputs}

    return run


def main(plan: str, engine: str, *arguments: str) -> None:
    openers: dict[str, Callable[..., Run]] = {
        "onnxruntime": onnxruntime_graph,
        "openvino": openvino_graph,
    }
    for job in json.loads(Path(plan).read_text("utf-8")):
        run = openers[engine](job["graph"], list(job["outputs"]), *arguments)
        inputs = np.fromfile(job["file"], np.float32).reshape(job["runs"], *job["dims"])
        for name, file in job["outputs"].items():
            values = [run(batch)[name] for batch in inputs]
            np.concatenate(values).tofile(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
