"""torch modules to portable ONNX: opset 18, IR version 9, weights inside, batch dimension named `batch`."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from vae_export.contract import first_line, module_name
from vae_runtime.bundle import GraphFile, graph_file
from vae_runtime.errors import VAEError

OPSET = 18
IR_VERSION = 9
NOISY_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export", "torch.fx", "torch._subclasses")


class BookEncoder(nn.Module):
    """An encoder whose standard deviation is exp(z_log_var), with the log of the variance as its output."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.exported_as = module_name(encoder)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        z_mean, z_log_var = self.encoder(image)
        return z_mean, 2 * z_log_var


def export_graph(
    module: nn.Module, shape: Sequence[int], input_name: str, output_names: Sequence[str], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """Trace `module`, which takes one (batch, *shape) float32, into a checked ONNX model.

    Raises VAEError naming the module and the reason when torch or ONNX cannot express it, or when its batch isn't
    dynamic.
    """
    name = module_name(module)
    example = torch.full((2, *shape), 0.5)
    try:
        with _quiet(), _partial_graph_unprinted(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (example,),
                input_names=[input_name],
                output_names=list(output_names),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError) as error:
        raise VAEError(f"{name} cannot be exported: {first_line(error)}") from error
    assert program is not None
    model = _plain(program.model_proto)
    _check_interface(name, model, input_name, output_names)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return checked(model)


def checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, after onnx's full check and strict shape inference. Raises VAEError with onnx's reason."""
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VAEError(f"the exported graph is not valid ONNX: {first_line(error)}") from error
    return model


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes, half of a small graph's bytes and unknown before IR version 10."""
    model.ir_version = IR_VERSION
    model.ClearField("metadata_props")
    model.producer_name, model.producer_version, model.doc_string = "vae-edge", "", ""
    graph = model.graph
    graph.name = "vae"
    for field in ("metadata_props", "value_info", "doc_string"):
        graph.ClearField(field)
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    if any(opset.version != OPSET for opset in model.opset_import if opset.domain == ""):
        raise VAEError(f"the exported graph needs another opset than {OPSET}")
    return model


def _check_interface(name: str, model: onnx.ModelProto, input_name: str, output_names: Sequence[str]) -> None:
    if [i.name for i in model.graph.input] != [input_name] or [o.name for o in model.graph.output] != list(
        output_names
    ):
        found = [o.name for o in model.graph.output]
        raise VAEError(f"{name} should take {input_name} and return {', '.join(output_names)}; it returns {found}")
    for value in (*model.graph.input, *model.graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        if batch.dim_param != "batch":
            raise VAEError(
                f"{name}: the batch of {value.name} is fixed at {batch.dim_value or batch.dim_param}; its forward "
                "must not look at the batch size (use flatten(1) or view(x.shape[0], …))"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own warnings and log lines off, and back as they were afterwards."""
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _partial_graph_unprinted() -> Iterator[None]:
    """torch.export prints the graph so far to stderr before it raises (torch/export/_trace.py), with no way to ask it
    not to. Whatever is printed without an exception is passed on.
    """
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        yield
    sys.stderr.write(printed.getvalue())


def write_graph(folder: Path, name: str, content: bytes) -> GraphFile:
    """Write a graph into a bundle and describe it for the manifest."""
    (folder / name).write_bytes(content)
    return graph_file(name, content)
