"""A graph whose latents are small images, as a function of flattened ones."""

from __future__ import annotations

import math

from vae_runtime.arrays import Float32
from vae_runtime.engine.session import IMAGE, BundleGraph


class FlatLatents:
    """A graph for images of any size, which takes or gives latents (N, C, h, w), called with or
    for latents (N, D) as all other graphs are.
    """

    def __init__(self, graph: BundleGraph) -> None:
        self.graph = graph
        (self._input_shape,) = graph.inputs.values()
        self.close = graph.close
        self.verify = graph.verify

    def __call__(self, array: Float32) -> tuple[Float32, ...]:
        n = len(array)
        values = self.graph(array.reshape(n, *self._input_shape))
        outputs = []
        for value, (name, shape) in zip(values, self.graph.outputs.items(), strict=True):
            outputs.append(value if name == IMAGE else value.reshape(n, math.prod(shape)))
        return tuple(outputs)
