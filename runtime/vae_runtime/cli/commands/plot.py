"""`vae-run plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from vae_runtime.charts import scatter
from vae_runtime.cli.inputs import ImageOptions, image_options
from vae_runtime.cli.options import (
    PATH,
    ModelOptions,
    model_options,
    number_pair,
    refine_option,
    require_suffix,
)
from vae_runtime.cli.output import write_picture
from vae_runtime.errors import VAEError
from vae_runtime.formats.idx import read_idx
from vae_runtime.latent.posterior import Inference


@click.command("plot")
@image_options
@click.option(
    "--labels", type=PATH, help="An IDX file of labels; else the folder that an image lies in."
)
@click.option("--output", "-o", type=PATH, default=Path("plot.png"), show_default=True)
@click.option(
    "--axes",
    callback=number_pair(int),
    metavar="A,B",
    default="0,1",
    show_default=True,
    help="The two latent dimensions to show.",
)
@refine_option
@model_options
def command(
    images: ImageOptions,
    labels: Path | None,
    output: Path,
    axes: tuple[int, int],
    inference: Inference,
    model: ModelOptions,
) -> int:
    """Scatter images in latent space, colored by label.

    The label is that of --labels, else the name of the folder that an image lies in.

    Example: vae-run plot t10k-images-idx3-ubyte --labels t10k-labels-idx1-ubyte -o plot.png
    """
    require_suffix(output, ".png")
    vae = model.load()
    vae.require_vectors("plot")
    if axes[0] == axes[1] or not all(0 <= axis < vae.latent_dim for axis in axes):
        last = vae.latent_dim - 1
        raise click.UsageError(
            f"--axes {axes[0]},{axes[1]}: two of the latent dimensions 0 … {last}"
        )
    reader = images.open_images(vae)
    latents = reader.encode_all(inference)
    names = _folder_names(latents.names)
    if labels:
        names = _stored_labels(labels, len(latents.names))
    write_picture(scatter(latents.z_mean[:, list(axes)], names, axes=axes), output)
    return reader.exit_status


def _folder_names(image_names: tuple[str, ...]) -> NDArray[Any]:
    return np.array([Path(name).parent.name for name in image_names])


def _stored_labels(path: Path, n: int) -> NDArray[Any]:
    labels = read_idx(path)
    if labels.shape != (n,):
        raise VAEError(f"{path}: {labels.shape} labels for {n} images")
    return labels
