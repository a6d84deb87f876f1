"""Graphs as data: an ONNX file is read and judged before onnxruntime sees it.

Imports neither onnx nor onnxruntime.
"""

from vae_runtime.graphs.check import check_graph
from vae_runtime.graphs.wire import GraphError

__all__ = ["GraphError", "check_graph"]
