"""torch modules to portable ONNX: opset 18, IR version 9, weights inside, any batch or one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import nn

from vae_export.torch_modules import first_line, module_name
from vae_export.tracing import tracing
from vae_runtime.errors import VAEError
from vae_runtime.graphs import GraphError, check_graph

OPSET = 18
IR_VERSION = 9
# The name of the first dimension of every input and output.
BATCH_DIMENSION = "batch"
# Traced with one image, torch would take the batch for a constant.
EXAMPLE_BATCH = 2
Shapes = Mapping[str, tuple[int, ...]]


def export_graph(
    module: nn.Module,
    shape: Sequence[int],
    input_name: str,
    output_names: Sequence[str],
    metadata: Mapping[str, str],
    *,
    any_size: bool = False,
    batch: int | None = None,
) -> onnx.ModelProto:
    """Trace `module`, which takes one (batch, *shape) float32, into a checked ONNX model.

    `metadata` goes into the model; height and width are dynamic too where it is for `any_size`.
    With a `batch` the model takes that one alone, and says the shape of every tensor. Raises
    VAEError naming the module and the reason when torch or ONNX cannot express it, or when a
    dimension that should be dynamic isn't.
    """
    name = module_name(module)
    example = torch.full((batch or EXAMPLE_BATCH, *shape), 0.5)
    dynamic_shapes = (_dynamic_dimensions(any_size),) if batch is None else None
    model = _without_notes(_traced(module, example, input_name, output_names, dynamic_shapes))
    _require_opset(model)
    _require_interface(name, model, input_name, output_names)
    if any_size:
        _name_dimensions(name, model)
    if batch is None:
        _require_dynamic_batch(name, model)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    model = checked(model)
    if batch is not None:
        model = with_fixed_shapes(name, model)
    if not any_size:
        # Graphs of any size are read once for each size that is proven.
        require_readable(name, model.SerializeToString())
    return model


def _traced(
    module: nn.Module,
    example: torch.Tensor,
    input_name: str,
    output_names: Sequence[str],
    dynamic_shapes: tuple[dict[int, Any], ...] | None,
) -> onnx.ModelProto:
    """What torch's exporter makes of the module, run on `example`."""
    try:
        with tracing():
            program = torch.onnx.export(
                module,
                (example,),
                input_names=[input_name],
                output_names=list(output_names),
                dynamic_shapes=dynamic_shapes,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError) as error:
        name = module_name(module)
        raise VAEError(f"{name} cannot be exported: {_reason(error)}") from error
    assert program is not None
    return program.model_proto


def _reason(error: BaseException) -> str:
    """torch's first line, or what is meant where that speaks of its own expressions."""
    line = first_line(error)
    if "data-dependent" in line:
        return (
            "its forward looks at values of its input, in an if or for an index, which no graph "
            "can; torch.where chooses between values"
        )
    return line


def checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, after onnx's full check and strict shape inference.

    Raises VAEError with onnx's reason.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VAEError(f"the exported graph is not valid ONNX: {first_line(error)}") from error
    return model


def with_fixed_shapes(name: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shape of every tensor in it, as compilers for phones want to see them.

    Raises VAEError where one isn't known, or has a dimension that isn't fixed.
    """
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = model.graph
    values = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    for node in graph.node:
        for tensor in filter(None, node.output):
            value = values.get(tensor)
            if value is None or not _is_fixed(value):
                raise VAEError(
                    f"{name}: with a fixed batch, the shape of what its {node.op_type} gives isn't "
                    "fixed yet"
                )
    return model


def _is_fixed(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.tensor_type
    sizes = [dimension.WhichOneof("value") for dimension in kind.shape.dim]
    return kind.HasField("shape") and all(size == "dim_value" for size in sizes)


def require_readable(name: str, model_bytes: bytes, shapes: Shapes | None = None) -> None:
    """Raise VAEError, with the operator, for a graph that the runtime would refuse to read.

    `shapes` are those that the inputs and outputs of a graph for images of any size are to have,
    without the batch.
    """
    graph = onnx.load_from_string(model_bytes).graph
    inputs = _sizes(graph.input, shapes)
    outputs = _sizes(graph.output, shapes)
    batch = _fixed_batch(graph.input)
    try:
        check_graph(model_bytes, inputs, outputs, any_size=shapes is not None, batch=batch)
    except GraphError as error:
        raise VAEError(f"{name}: the runtime would refuse its graph: {error}") from None


def _sizes(
    values: Iterable[onnx.ValueInfoProto], shapes: Shapes | None
) -> dict[str, tuple[int, ...]]:
    """Names of inputs or outputs, with their shapes without the batch: their own, or these."""
    sizes = {}
    for value in values:
        if shapes is not None:
            sizes[value.name] = shapes[value.name]
            continue
        dimensions = value.type.tensor_type.shape.dim[1:]
        sizes[value.name] = tuple(dimension.dim_value for dimension in dimensions)
    return sizes


def _fixed_batch(values: Iterable[onnx.ValueInfoProto]) -> int | None:
    for value in values:
        batch = value.type.tensor_type.shape.dim[0]
        if batch.HasField("dim_value"):
            return int(batch.dim_value)
    return None


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove torch's notes, half of a small graph's bytes and unknown before IR version 10."""
    model.ir_version = IR_VERSION
    model.producer_name = "vae-edge"
    model.producer_version = ""
    model.doc_string = ""
    model.ClearField("metadata_props")
    graph = model.graph
    graph.name = "vae"
    for field in ("metadata_props", "value_info", "doc_string"):
        graph.ClearField(field)
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    return model


def _require_opset(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain == "" and opset.version != OPSET:
            raise VAEError(f"the exported graph needs another opset than {OPSET}")


def _require_interface(
    name: str, model: onnx.ModelProto, input_name: str, output_names: Sequence[str]
) -> None:
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    if inputs != [input_name] or outputs != list(output_names):
        raise VAEError(
            f"{name} should take {input_name} and return {', '.join(output_names)}; "
            f"it returns {outputs}"
        )


def _require_dynamic_batch(name: str, model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        if batch.dim_param != BATCH_DIMENSION:
            raise VAEError(
                f"{name}: the batch of {value.name} is fixed at "
                f"{batch.dim_value or batch.dim_param}; its forward must not look at the batch "
                "size (use flatten(1) or view(x.shape[0], …))"
            )


def _dynamic_dimensions(any_size: bool) -> dict[int, Any]:
    if not any_size:
        return {0: torch.export.Dim(BATCH_DIMENSION)}
    # Behind convolutions with strides, sizes are formulas that no name of ours would fit.
    return dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)


def _name_dimensions(name: str, model: onnx.ModelProto) -> None:
    """Name the batch, height and width. Raises VAEError where one of the latter is fixed."""
    for value in (*model.graph.input, *model.graph.output):
        prefix = "" if value.name == "image" else "latent_"
        batch = value.type.tensor_type.shape.dim[0]
        if batch.dim_param:
            batch.dim_param = BATCH_DIMENSION
        for axis, dimension in zip((2, 3), ("height", "width"), strict=True):
            size = value.type.tensor_type.shape.dim[axis]
            if not size.dim_param:
                raise VAEError(
                    f"{name}: the {dimension} of {value.name} is fixed at {size.dim_value}, so it "
                    "has one size: --dynamic-size is for networks of convolutions"
                )
            size.dim_param = prefix + dimension


def remove_unused_constants(model: onnx.ModelProto) -> None:
    """In place: without the initializers that no node takes."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
