"""The operators that passes and the int8 search treat alike, by what they do.

A pass that emits a new operator has to put it into every set that it belongs to: nothing fails
otherwise, but int8 silently gets slower or worse.
"""

from __future__ import annotations

# Activations that work on each number alone. They commute with every rearrangement of pixels, so a
# phase may have its own, which onnxruntime fuses into the convolution.
ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "Softplus", "Selu"})

# What has weights and gains from int8.
PRODUCTS = frozenset({"Gemm", "MatMul"})
QUANTIZABLE = PRODUCTS | {"Conv"}

# Convolutions with fewer inputs, and matrix products with fewer inputs or outputs, gain nothing.
MIN_QUANTIZED_CHANNELS = 16

# Copy bytes as well as numbers: between quantized layers they stay in int8, and all that they bring
# together needs one scale.
BYTE_MOVERS = frozenset({"Concat", "Reshape", "Transpose"})

# Move pixels about without changing them. DepthToSpace is no byte mover: onnxruntime has it in
# float alone.
PIXEL_MOVERS = BYTE_MOVERS | {"DepthToSpace"}

# What may stand between a decoder's last convolution and its image without hiding which channel a
# bias belongs to. Concat is missing: it would bring several convolutions together.
BETWEEN_LOGITS_AND_IMAGE = frozenset(
    {"Sigmoid", "DepthToSpace", "Reshape", "Transpose", "QuantizeLinear", "DequantizeLinear"}
)
