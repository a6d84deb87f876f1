"""What people call: a bundle of any VAE, of a pair of modules, or of a checkpoint of vae-train."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import ArrayLike
from torch import nn

from vae_export import parity
from vae_export.adapters import Hints, ImageRange, Spread
from vae_export.foreign import Description, Labels, OnFinding, source_of_modules
from vae_export.labels import label_records, mixture_records
from vae_export.pipeline import WriteOptions, write_bundle
from vae_export.source import BookEncoder, ExportSource
from vae_runtime.arrays import Float32, ImageShape, check_images
from vae_runtime.bundle import Bundle, Fit, Likelihood, LikelihoodName, Preprocess
from vae_train.checkpoint import load_checkpoint


def export_bundle(
    vae: nn.Module,
    decoder: nn.Module | None = None,
    *,
    image_shape: ImageShape,
    output: str | os.PathLike[str],
    latent_dim: int | None = None,
    likelihood: LikelihoodName | Likelihood | None = None,
    image_range: tuple[float, float] | None = None,
    spread: Spread | None = None,
    encoder_outputs: tuple[str | int, str | int] | None = None,
    fit: Fit = "contain",
    invert: bool = False,
    images: ArrayLike | None = None,
    labels: Labels | None = None,
    precisions: Sequence[str] = ("fp32",),
    tolerance: float = parity.TOLERANCE,
    force: bool = False,
    as_zip: bool = False,
    with_card: bool = False,
    int8_budget: float | None = None,
    strict: bool = False,
    batch: int | None = None,
    dynamic_size: bool = False,
    on_finding: OnFinding = print,
) -> Bundle:
    """Write the bundle `output` for a whole VAE, or for a pair of an encoder and a decoder.

    `vae` is a module with methods encode and decode or attributes encoder and decoder, or, beside
    `decoder`, the encoder alone. What they return, the latents and the range of the images are
    found by running them; each line of what was found goes to `on_finding`. Both stay as they are.

    `image_range` is what the model calls black and white, `spread` what it gives in place of a log
    variance, `encoder_outputs` the fields or positions of mean and spread, `latent_dim` what must
    be found. `likelihood` "gaussian" measures its variances on `images`. `fit` and `invert` are how
    the runtime prepares pictures.

    `images` (N, C, H, W), float in [0, 1] or uint8, serve the parity report, the score quantiles,
    int8 and, with `labels` (N,), the concept vectors; without them parity uses seeded noise, and
    "int8" among `precisions` is refused. `as_zip` writes one file in place of a folder, `with_card`
    a README.md for people and for the Hugging Face Hub. int8 may lose `int8_budget` nats of ELBO
    (None: 0.3, or 0.05 % of the mean reconstruction loss); where it can't be had `on_finding` is
    told, or VAEError raised if `strict`. `batch` adds graphs that take so many images alone, all
    shapes fixed. With `dynamic_size` the graphs take images of other sizes than `image_shape` too,
    which networks of convolutions do; see docs/exporting.md.

    Raises VAEError when the modules cannot be exported, when it is not clear what they return, when
    a graph differs from torch by more than `tolerance` (relative to the output's largest
    magnitude), or when `output` exists and `force` is false; ValueError for arguments that don't
    belong together.
    """
    channels, height, width = image_shape
    given_range = None if image_range is None else ImageRange(*image_range, clamped=True)
    description = Description(
        image_shape=(channels, height, width),
        latent_dim=latent_dim,
        hints=Hints(given_range, spread, encoder_outputs),
        likelihood=likelihood,
        preprocess=Preprocess(fit, invert),
        images=None if images is None else check_images(images, image_shape),
        labels=labels,
        dynamic_size=dynamic_size,
    )
    modules = [vae] if decoder is None else [vae, decoder]
    source = source_of_modules(modules, description, on_finding)
    options = WriteOptions(
        precisions=tuple(precisions),
        tolerance=tolerance,
        force=force,
        as_zip=as_zip,
        with_card=with_card,
        int8_budget=int8_budget,
        strict=strict,
        batch=batch,
    )
    return write_bundle(source, Path(output), options, on_finding)


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
    int8_budget: float | None = None,
    strict: bool = False,
    batch: int | None = None,
    on_finding: OnFinding = print,
) -> tuple[Path, Bundle]:
    """Write the bundle of a `model.pt`, by default beside it as `model.vae`; returns its path too.

    `calibration` (N, C, H, W) in [0, 1] takes the place of the checkpoint's own images for int8;
    `int8_budget`, `strict`, `batch` and `on_finding` are those of `export_bundle`.
    Raises VAEError for a damaged checkpoint, and as `export_bundle` does.
    """
    path = Path(checkpoint)
    source = source_of_checkpoint(path, calibration)
    target = path.with_suffix(".vae") if output is None else Path(output)
    options = WriteOptions(
        precisions=tuple(precisions),
        tolerance=tolerance,
        force=force,
        as_zip=as_zip,
        with_card=with_card,
        int8_budget=int8_budget,
        strict=strict,
        batch=batch,
    )
    return target, write_bundle(source, target, options, on_finding)


def source_of_checkpoint(path: Path, calibration: Float32 | None = None) -> ExportSource:
    """A checkpoint of vae-train as what is exported; see `export_checkpoint`."""
    saved = load_checkpoint(path)
    encoder: nn.Module = saved.model.encoder
    if saved.config.sampling == "book":
        encoder = BookEncoder(encoder).eval()
    if calibration is None:
        calibration = check_images(saved.train_images, saved.config.image_shape)
    return ExportSource(
        encoder=encoder,
        decoder=saved.model.decoder,
        image_shape=saved.config.image_shape,
        latent_dim=saved.config.latent_dim,
        likelihood=saved.likelihood,
        heldout_images=check_images(saved.heldout_images, saved.config.image_shape),
        calibration_images=calibration,
        labels=label_records(saved.label_statistics),
        density=mixture_records(saved.density),
        training=saved.training,
        preprocess=Preprocess(saved.config.fit),
        checkpoint_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
