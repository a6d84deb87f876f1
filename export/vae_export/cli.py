"""The command line of `vae-export`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from vae_export import parity
from vae_export.adapters import SPREADS, Hints, ImageRange, Spread
from vae_export.api import source_of_checkpoint
from vae_export.calibration import FOLDER_LABELS, read_calibration, read_labelled
from vae_export.cli_values import parse_encoder_outputs, parse_image_range, parse_image_shape
from vae_export.foreign import Description, source_of_modules
from vae_export.loading import LoadedVAE, is_library_folder, load_vae
from vae_export.operators_config import write_operators_config
from vae_export.pipeline import WriteOptions, write_bundle
from vae_export.source import ExportSource
from vae_export.triton import require_room, write_triton_models
from vae_runtime.arrays import ImageShape
from vae_runtime.bundle import (
    FITS,
    LIKELIHOODS,
    Fit,
    LikelihoodName,
    Preprocess,
    Variant,
)
from vae_runtime.bundle.packing import bundle_files
from vae_runtime.console import CONTEXT_SETTINGS
from vae_runtime.errors import VAEError
from vae_train.checkpoint import load_checkpoint


@dataclass(frozen=True, kw_only=True)
class ForeignOptions:
    """What can be said of a VAE that vae-train didn't make; None is found out."""

    weights: Path | None
    image_shape: ImageShape | None
    latent_dim: int | None
    image_range: ImageRange | None
    spread: Spread | None
    encoder_outputs: tuple[str | int, str | int] | None
    likelihood: LikelihoodName | None
    fit: Fit | None
    invert: bool
    labels: Path | None
    dynamic_size: bool
    trust: bool

    def given(self) -> list[str]:
        """The options that were given, as they are written."""
        names = []
        for name, value in vars(self).items():
            if value:
                names.append("--" + name.replace("_", "-"))
        return names


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("source")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The bundle; default: SOURCE's name with .vae.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "int8"]),
    multiple=True,
    default=["fp32"],
    help="int8 adds quantized graphs; may be repeated.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=parity.TOLERANCE,
    show_default=True,
    help="Largest difference to torch, relative to the output's largest magnitude.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Images for int8 and scores, in place of a checkpoint's.",
)
@click.option(
    "--weights", type=click.Path(path_type=Path), help="For a factory: a file with its weights."
)
@click.option(
    "--image-shape",
    callback=parse_image_shape,
    metavar="C,H,W",
    help="Of a foreign model, where its library doesn't say.",
)
@click.option("--latent-dim", type=click.IntRange(1), help="Checked against what is found.")
@click.option(
    "--image-range",
    callback=parse_image_range,
    metavar="LOW,HIGH",
    help="What a foreign model calls black and white, such as -1,1; default: found.",
)
@click.option(
    "--spread",
    type=click.Choice(SPREADS),
    help="What its encoder gives beside the mean; default: by its name, else log_var.",
)
@click.option(
    "--encoder-outputs",
    callback=parse_encoder_outputs,
    metavar="MEAN,LOG_VAR",
    help="Names or positions of the two in what its encoder returns; default: found.",
)
@click.option(
    "--likelihood",
    type=click.Choice(LIKELIHOODS),
    help="What it was trained with; gaussian is measured on --calibration.",
)
@click.option("--fit", type=click.Choice(FITS), help="How pictures are brought to its size.")
@click.option("--invert", is_flag=True, help="Pictures are inverted for it.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help=f"Labels of --calibration: IDX, .npy, text, or the word {FOLDER_LABELS}.",
)
@click.option(
    "--dynamic-size", is_flag=True, help="Images of any size, for networks of convolutions."
)
@click.option(
    "--trust",
    is_flag=True,
    help="Run the code that a pickled model holds; only for files whose origin you trust.",
)
@click.option(
    "--int8-budget",
    type=click.FloatRange(0, min_open=True),
    help="Nats of ELBO that int8 may lose; default: 0.3, or 0.05 % of the reconstruction loss.",
)
@click.option("--strict", is_flag=True, help="Fail where int8 can't be had.")
@click.option(
    "--batch",
    type=click.IntRange(1, parity.MAX_BATCH),
    help="Add graphs of this batch alone, for compilers and phones that refuse dynamic shapes.",
)
@click.option("--zip", "as_zip", is_flag=True, help="Write one file in place of a folder.")
@click.option(
    "--card", "with_card", is_flag=True, help="Add a README.md, as the Hugging Face Hub reads it."
)
@click.option(
    "--operators",
    type=click.Path(path_type=Path),
    help="Also write the operators that it needs, for a reduced build of onnxruntime.",
)
@click.option(
    "--triton",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write its models into a repository of NVIDIA's Triton Inference Server.",
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.version_option(package_name="vae-edge")
def command(
    source: str,
    output: Path | None,
    calibration: Path | None,
    operators: Path | None,
    triton: Path | None,
    **settings: Any,
) -> None:
    """Export a VAE to a bundle for vae-run.

    SOURCE is model.pt of vae-train; package.module:factory for anybody's torch module; a folder
    that pythae or diffusers saved; or, with --trust, a file with a whole pickled module.

    Example: vae-export runs/digits/model.pt -o digits.vae
    """
    options = WriteOptions(**_settings_of(WriteOptions, settings))
    foreign = ForeignOptions(**_settings_of(ForeignOptions, settings))
    findings: list[str] = []
    if _is_foreign(source, foreign):
        exported = _foreign_source(source, foreign, calibration, findings)
        target = output or _default_target(source)
    else:
        _require_checkpoint(Path(source), foreign)
        exported = _checkpoint_source(Path(source), calibration)
        target = output or Path(source).with_suffix(".vae")
    if triton is not None:
        # Before the work, not behind it.
        require_room(target, triton, force=options.force)
    bundle = write_bundle(exported, target, options, findings.append)
    for line in findings:
        click.echo(line)
    click.echo(parity.table({variant.name: variant.parity for variant in bundle.variants}))
    for variant in bundle.variants:
        click.echo(f"{variant.name:<8} {_summary(variant)}")
    if operators is not None:
        files = bundle_files(target)
        graphs = [files[name] for name in sorted(files) if name.endswith(".onnx")]
        write_operators_config(operators, graphs)
    if triton is not None:
        for folder in write_triton_models(target, triton, force=options.force):
            click.echo(folder)
    click.echo(target)


def _default_target(source: str) -> Path:
    """A file's or folder's name, or that of a factory's function, with .vae, here."""
    path = Path(source)
    if path.exists():
        return Path(path.resolve().stem + ".vae")
    _, _, function_name = source.partition(":")
    return Path(function_name + ".vae")


def _settings_of(kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the command line's values that are fields of a dataclass."""
    names = [field.name for field in fields(kind)]
    return {name: settings[name] for name in names}


def _is_foreign(source: str, foreign: ForeignOptions) -> bool:
    path = Path(source)
    is_factory = ":" in source and not path.exists()
    return is_factory or is_library_folder(path) or (path.is_file() and foreign.trust)


def _require_checkpoint(path: Path, foreign: ForeignOptions) -> None:
    if not path.exists():
        raise VAEError(
            f"{path}: no such file or folder; a factory is written package.module:factory"
        )
    if foreign.given():
        raise click.UsageError(
            f"{', '.join(foreign.given())}: for a factory or a library's folder, and with --trust "
            "for a pickled module, not for a checkpoint"
        )


def _foreign_source(
    source: str, foreign: ForeignOptions, calibration: Path | None, findings: list[str]
) -> ExportSource:
    loaded = load_vae(source, foreign.weights, trust=foreign.trust)
    findings += loaded.findings
    description = _description(loaded, foreign, calibration)
    return source_of_modules(loaded.modules, description, findings.append)


def _description(
    loaded: LoadedVAE, foreign: ForeignOptions, calibration: Path | None
) -> Description:
    image_shape = foreign.image_shape or loaded.image_shape
    if image_shape is None:
        raise click.UsageError("this model needs --image-shape: nothing says how large images are")
    preprocess = Preprocess().changed(foreign.fit, foreign.invert)
    images = None
    labels = None
    if foreign.labels is not None:
        if calibration is None:
            raise click.UsageError("--labels are of the images of --calibration")
        images, labels = read_labelled(calibration, foreign.labels, image_shape, preprocess)
    elif calibration is not None:
        images = read_calibration(calibration, image_shape, preprocess)
    return Description(
        image_shape=image_shape,
        latent_dim=foreign.latent_dim,
        hints=Hints(foreign.image_range, foreign.spread, foreign.encoder_outputs),
        likelihood=foreign.likelihood,
        told_likelihood=loaded.likelihood,
        preprocess=preprocess,
        images=images,
        labels=labels,
        dynamic_size=foreign.dynamic_size,
    )


def _checkpoint_source(checkpoint: Path, calibration: Path | None) -> ExportSource:
    images = None
    if calibration is not None:
        config = load_checkpoint(checkpoint).config
        images = read_calibration(calibration, config.image_shape, Preprocess(config.fit))
    return source_of_checkpoint(checkpoint, images)


def _summary(variant: Variant) -> str:
    # Not Variant.summary: an exporter also wants to see that rewriting fp32 graphs lost nothing.
    providers = ", ".join(variant.providers)
    line = f"{variant.precision} for {providers}, {variant.bytes / 1e6:.2f} MB"
    if variant.elbo_change is not None:
        line += f", ELBO {variant.elbo_change:+.3f} nats"
    return line
