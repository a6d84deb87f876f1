"""The operators that a graph may hold, each with its shape function; docs/bundle.md lists them.

They compute on tensors alone. What branches or loops, draws random numbers, makes strings or
sequences, or a tensor whose shape depends on what is in another one, isn't here.
"""

from __future__ import annotations

from collections.abc import Callable

from vae_runtime.graphs import elementwise, layers, reshaping
from vae_runtime.graphs.shapes import Call, Value

ShapeFunction = Callable[[Call], list[Value]]

SAME = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot CastLike Ceil Celu Clip Cos Cosh CumSum
    DequantizeLinear Elu Erf Exp EyeLike Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax
    InstanceNormalization IsInf IsNaN LRN LeakyRelu Log LogSoftmax LpNormalization
    MeanVarianceNormalization Mish Neg Not QuantizeLinear RMSNormalization Reciprocal Relu Round
    ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish
    Tan Tanh ThresholdedRelu Trilu
"""
BROADCASTING = """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less
    LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor
"""
REDUCTIONS = """
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
"""
OTHERS: dict[str, ShapeFunction] = {
    "ArgMax": elementwise.arg_reduction,
    "ArgMin": elementwise.arg_reduction,
    "AveragePool": layers.pooling,
    "BatchNormalization": elementwise.batch_normalization,
    "Cast": elementwise.cast,
    "Concat": reshaping.concat,
    "Constant": reshaping.constant,
    "ConstantOfShape": reshaping.constant_of_shape,
    "Conv": layers.convolution,
    "ConvInteger": layers.convolution,
    "ConvTranspose": layers.transposed_convolution,
    "DepthToSpace": reshaping.depth_to_space,
    "DynamicQuantizeLinear": elementwise.dynamic_quantize,
    "Einsum": layers.einsum,
    "Expand": reshaping.expand,
    "Flatten": reshaping.flatten,
    "GRU": layers.recurrent,
    "Gather": reshaping.gather,
    "GatherElements": reshaping.gather_elements,
    "GatherND": reshaping.gather_nd,
    "Gemm": layers.gemm,
    "GlobalAveragePool": layers.global_pooling,
    "GlobalLpPool": layers.global_pooling,
    "GlobalMaxPool": layers.global_pooling,
    "GridSample": layers.grid_sample,
    "Identity": elementwise.identity,
    "LSTM": layers.recurrent,
    "LayerNormalization": elementwise.layer_normalization,
    "LpPool": layers.pooling,
    "MatMul": layers.matrix_product,
    "MatMulInteger": layers.matrix_product,
    "MaxPool": layers.pooling,
    "OneHot": reshaping.one_hot,
    "Pad": reshaping.pad,
    "QLinearConv": layers.quantized_convolution,
    "QLinearMatMul": layers.quantized_matrix_product,
    "RNN": layers.recurrent,
    "Range": reshaping.value_range,
    "Reshape": reshaping.reshape,
    "Resize": layers.resize,
    "Shape": reshaping.shape_of,
    "Size": reshaping.size_of_all,
    "Slice": reshaping.slice_,
    "SpaceToDepth": reshaping.space_to_depth,
    "Split": reshaping.split,
    "Squeeze": reshaping.squeeze,
    "Tile": reshaping.tile,
    "TopK": elementwise.top_k,
    "Transpose": reshaping.transpose,
    "Unsqueeze": reshaping.unsqueeze,
}
OWN_OF_ONNXRUNTIME: dict[str, ShapeFunction] = {
    "DequantizeLinear": elementwise.same,
    "DynamicQuantizeMatMul": layers.matrix_product,
    "FastGelu": elementwise.same,
    "Gelu": elementwise.same,
    "MatMulIntegerToFloat": layers.matrix_product,
    "QGemm": layers.quantized_gemm,
    "QLinearAdd": layers.quantized_pair,
    "QLinearConcat": layers.quantized_concat,
    "QLinearLeakyRelu": elementwise.same,
    "QLinearMul": layers.quantized_pair,
    "QLinearSigmoid": elementwise.same,
    "QLinearSoftmax": elementwise.same,
    "QuantizeLinear": elementwise.same,
    "QuickGelu": elementwise.same,
}


def _default_domain() -> dict[str, ShapeFunction]:
    table = dict(OTHERS)
    table |= dict.fromkeys(SAME.split(), elementwise.same)
    table |= dict.fromkeys(BROADCASTING.split(), elementwise.broadcasting)
    table |= dict.fromkeys(REDUCTIONS.split(), elementwise.reduction)
    return table


OPERATORS: dict[str, dict[str, ShapeFunction]] = {
    "": _default_domain(),
    "com.microsoft": OWN_OF_ONNXRUNTIME,
}
"""Domain -> operator -> its shape function."""
