"""A checkpoint of the embedded model from its own graphs: half an hour of training less.

For whoever changed the exporter and wants the wheel to have what it writes now. Weights stand in
the portable graphs under the names that they have in torch; what a checkpoint says of the data is
computed from MNIST anew. The optimizer's state is lost: such a checkpoint can't be trained further.

Usage: python tools/restore_digits.py runs/restored/model.pt
       python tools/make_digits.py runs/restored/model.pt
"""

import sys
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from vae_runtime.vae import EMBEDDED_BUNDLE
from vae_train.config import PRESETS
from vae_train.data import hold_out_validation, load_dataset
from vae_train.loop import Trainer
from vae_train.model import CellEncoder

# What the embedded model was trained with, docs/model-card.md.
VALIDATION_IMAGES = 5000
CONFIG = replace(PRESETS["exact"], validation=VALIDATION_IMAGES)
# Since its last phase the encoder answers with the most probable cell, not by its other head.
OTHER_HEAD = frozenset({"z_mean.weight", "z_mean.bias", "z_log_var.weight", "z_log_var.bias"})


def load_from_graph(module: nn.Module, path: Path, unused: frozenset[str] = frozenset()) -> None:
    """Give a module the weights of its graph, all but the `unused` ones, which stay random.

    Raises KeyError for another one that the graph lacks.
    """
    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name not in unused:
                values = numpy_helper.to_array(tensors[name])
                parameter.copy_(torch.from_numpy(values.copy()))


def main() -> None:
    output = Path(sys.argv[1])
    data = hold_out_validation(load_dataset("mnist"), CONFIG.validation)
    trainer = Trainer(CONFIG, data)
    encoder = trainer.model.encoder
    assert isinstance(encoder, CellEncoder)
    load_from_graph(encoder, EMBEDDED_BUNDLE / "encoder.onnx", OTHER_HEAD)
    load_from_graph(trainer.model.decoder, EMBEDDED_BUNDLE / "decoder.onnx")
    encoder.chooses_cells = True
    trainer.position.epoch = CONFIG.total_epochs
    output.parent.mkdir(parents=True, exist_ok=True)
    trainer.save(output)
    print(f"{output}: {trainer.summary}")


if __name__ == "__main__":
    main()
