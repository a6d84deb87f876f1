"""What people call: a bundle of any two modules, or of a checkpoint of vae-train."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from torch import nn

from vae_export import parity
from vae_export.labels import label_records, measure_labels
from vae_export.pipeline import write_bundle
from vae_export.source import BookEncoder, ExportSource
from vae_export.torch_modules import copied
from vae_runtime.arrays import Float32, ImageShape, check_images
from vae_runtime.bundle import Bundle, Label, Likelihood, LikelihoodName, Preprocess
from vae_train.checkpoint import load_checkpoint


def export_bundle(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    image_shape: ImageShape,
    latent_dim: int,
    output: str | os.PathLike[str],
    likelihood: LikelihoodName | Likelihood = "bernoulli",
    images: ArrayLike | None = None,
    labels: Sequence[Any] | None = None,
    precisions: Sequence[str] = ("fp32",),
    tolerance: float = parity.TOLERANCE,
    force: bool = False,
    as_zip: bool = False,
    with_card: bool = False,
) -> Bundle:
    """Write the bundle `output` for any pair of modules that keep the contract.

    `encoder` takes images (N, C, H, W) float32 in [0, 1] and returns z_mean and z_log_var, each
    (N, latent_dim); `decoder` takes z (N, latent_dim) and returns images in [0, 1]. Both stay as
    they are. `images` (N, C, H, W), float in [0, 1] or uint8, serve the parity report, the score
    quantiles, int8 and, with `labels` (N,), the concept vectors; without them parity uses seeded
    noise, and "int8" among `precisions` is refused. `as_zip` writes one file in place of a folder,
    `with_card` a README.md for people and for the Hugging Face Hub.

    Raises VAEError when the modules cannot be exported, when a graph differs from torch by more
    than `tolerance` (relative to the output's largest magnitude), or when `output` exists and
    `force` is false; ValueError for arguments that don't belong together.
    """
    source = _source_of_modules(
        encoder, decoder, image_shape, latent_dim, likelihood, images, labels
    )
    return write_bundle(
        source,
        Path(output),
        precisions=precisions,
        tolerance=tolerance,
        force=force,
        as_zip=as_zip,
        with_card=with_card,
    )


def export_checkpoint(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    precisions: Sequence[str] = ("fp32",),
    tolerance: float = parity.TOLERANCE,
    calibration: Float32 | None = None,
    force: bool = False,
    as_zip: bool = False,
    with_card: bool = False,
) -> tuple[Path, Bundle]:
    """Write the bundle of a `model.pt`, by default beside it as `model.vae`; returns its path too.

    `calibration` (N, C, H, W) in [0, 1] takes the place of the checkpoint's own images for int8.
    Raises VAEError for a damaged checkpoint, and as `export_bundle` does.
    """
    path = Path(checkpoint)
    saved = load_checkpoint(path)
    encoder: nn.Module = saved.model.encoder
    if saved.config.sampling == "book":
        encoder = BookEncoder(encoder).eval()
    if calibration is None:
        calibration = check_images(saved.train_images, saved.config.image_shape)
    source = ExportSource(
        encoder=encoder,
        decoder=saved.model.decoder,
        image_shape=saved.config.image_shape,
        latent_dim=saved.config.latent_dim,
        likelihood=saved.likelihood,
        heldout_images=check_images(saved.heldout_images, saved.config.image_shape),
        calibration_images=calibration,
        labels=label_records(saved.label_statistics),
        training=saved.training,
        preprocess=Preprocess(saved.config.fit),
        checkpoint_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    target = path.with_suffix(".vae") if output is None else Path(output)
    bundle = write_bundle(
        source,
        target,
        precisions=precisions,
        tolerance=tolerance,
        force=force,
        as_zip=as_zip,
        with_card=with_card,
    )
    return target, bundle


def _source_of_modules(
    encoder: nn.Module,
    decoder: nn.Module,
    image_shape: ImageShape,
    latent_dim: int,
    likelihood: LikelihoodName | Likelihood,
    images: ArrayLike | None,
    labels: Sequence[Any] | None,
) -> ExportSource:
    checked_likelihood = _check_likelihood(likelihood, channels=image_shape[0])
    checked_images = None if images is None else check_images(images, image_shape)
    if labels is not None and (checked_images is None or len(labels) != len(checked_images)):
        raise ValueError("labels need as many images")
    encoder = copied(encoder).cpu().eval()
    decoder = copied(decoder).cpu().eval()
    label_places: dict[str, Label] = {}
    if labels is not None and checked_images is not None:
        label_places = measure_labels(encoder, checked_images, labels)
    return ExportSource(
        encoder=encoder,
        decoder=decoder,
        image_shape=image_shape,
        latent_dim=latent_dim,
        likelihood=checked_likelihood,
        heldout_images=checked_images,
        calibration_images=checked_images,
        labels=label_places,
    )


def _check_likelihood(likelihood: LikelihoodName | Likelihood, channels: int) -> Likelihood:
    if isinstance(likelihood, str):
        likelihood = Likelihood(likelihood)
    if likelihood.name == "gaussian" and len(likelihood.log_var) != channels:
        raise ValueError(
            "a gaussian likelihood needs one log variance per channel: Likelihood('gaussian', (…,))"
        )
    return likelihood
