"""The steps of an export: trace, prove, rewrite, quantize, measure, and only then write a bundle.

Everything is written into a folder beside the target, which takes the target's name at the end: a
step that raises leaves nothing behind.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import vae_runtime
from vae_export import parity
from vae_export.bundle_files import write_check, write_graph, write_manifest
from vae_export.card import CARD_FILE, card_text
from vae_export.contract import require_contract
from vae_export.cpu_decoders import write_cpu_decoders
from vae_export.fixed_batch import require_fixable, write_fixed_batch
from vae_export.graphs import export_graph
from vae_export.int8 import Int8UnavailableError
from vae_export.sizes import prove_sizes, require_any_size, shapes_at
from vae_export.source import ExportSource
from vae_export.torch_modules import module_name
from vae_runtime.arrays import Float32, Float64
from vae_runtime.bundle import Bundle, Variant, is_bundle
from vae_runtime.bundle.packing import write_zip
from vae_runtime.bundle.records import ANY_PROVIDER
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file, atomic_folder, replacing_folder

if TYPE_CHECKING:
    from vae_export.int8.target import Target

# Images and latents in check.npz.
CHECK_COUNT = 8
# Shares of the held-out images whose score the bundle quotes.
SCORE_QUANTILES = (0.001, 0.01, 0.05)


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a bundle is written; see `vae_export.api`."""

    precisions: tuple[str, ...] = ("fp32",)
    tolerance: float = parity.TOLERANCE
    force: bool = False
    as_zip: bool = False
    with_card: bool = False
    # In nats; None is 0.3, or 0.05 % of the mean reconstruction loss where that is more.
    int8_budget: float | None = None
    # Whether int8 that can't be had is an error.
    strict: bool = False
    # Of a further variant whose shapes are all fixed.
    batch: int | None = None


@dataclass(frozen=True)
class Probes:
    """Inputs (N, …) of the proof, in which batches graphs get them, and what torch makes of them.

    N is CHECK_COUNT, or more where the largest batch, or one that is fixed, is larger.
    """

    images: Float32
    z: Float32
    batches: tuple[int, ...]
    encoder: parity.Expected
    decoder: parity.Expected


def write_bundle(
    source: ExportSource,
    output: Path,
    options: WriteOptions,
    on_finding: Callable[[str], object] = print,
) -> Bundle:
    """Write the bundle `output`, a folder or a zip file, and return its records.

    Where int8 was asked for and can't be had, `on_finding` gets a line that says why, unless the
    options are strict. Raises VAEError when the modules break the contract, when a graph differs
    from torch by more than the tolerance, or when `output` exists and isn't to be replaced.
    """
    require_fixable(options.batch, source.dynamic_size)
    with _new_output(output, options.force, options.as_zip) as folder:
        if source.dynamic_size:
            require_any_size(source)
        probes = _run_torch(source, options.batch)
        portable = _write_portable(source, folder, probes, options.tolerance)
        variants = [portable]
        prove = partial(_prove, probes.decoder, batches=probes.batches, tolerance=options.tolerance)
        if not source.dynamic_size:
            # What a rewrite gains is reckoned for one size.
            variants += write_cpu_decoders(folder, portable, prove)
        variants += _write_fixed(source, folder, probes, options)
        write_check(folder, source, probes.images[:CHECK_COUNT], probes.z[-CHECK_COUNT:])
        bundle = _measured(source, folder, _describe(source, variants))
        if "int8" in options.precisions:
            bundle = _with_int8(source, folder, bundle, options, on_finding)
            _remove_unlisted(folder, bundle)
        write_manifest(folder, bundle)
        if options.with_card:
            (folder / CARD_FILE).write_text(card_text(bundle), "utf-8")
        with vae_runtime.load(folder, provider="cpu") as vae:
            vae.check()
    return bundle


def _new_output(output: Path, force: bool, as_zip: bool) -> AbstractContextManager[Path]:
    """A folder to fill, which becomes `output` when its block ends without an exception."""
    if as_zip:
        return _new_zip(output, force)
    if output.is_file():
        raise VAEError(f"{output}: is a file; choose another name, or write a zip with --zip")
    if force:
        return replacing_folder(output, is_bundle, "bundle")
    return atomic_folder(output)


@contextmanager
def _new_zip(output: Path, force: bool) -> Iterator[Path]:
    if output.is_dir():
        raise VAEError(f"{output}: is a folder; choose another name for the zip")
    if output.exists() and not force:
        raise VAEError(f"{output}: exists; choose another name or use --force")
    if output.exists() and not zipfile.is_zipfile(output):
        raise VAEError(f"{output}: exists and is not a bundle, so it is not replaced")
    with atomic_file(output) as temporary, tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        members = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        write_zip(temporary, members)


def _run_torch(source: ExportSource, fixed_batch: int | None) -> Probes:
    """Check both modules against the contract and record what they compute."""
    images, z = _probe_inputs(source, CHECK_COUNT)
    latents = source.traced_latent_shape
    encoder_outputs = {"z_mean": latents, "z_log_var": latents}
    require_contract(source.encoder, torch.from_numpy(images), encoder_outputs)
    require_contract(source.decoder, torch.from_numpy(z), {"image": source.image_shape})
    batches = min(
        parity.affordable_batches(source.encoder, images),
        parity.affordable_batches(source.decoder, z),
        key=len,
    )
    images, z = _probe_inputs(source, max(*batches, CHECK_COUNT, fixed_batch or 0))
    probes = Probes(
        images=images,
        z=z,
        batches=batches,
        encoder=parity.expect(source.encoder, images),
        decoder=parity.expect(source.decoder, z),
    )
    _require_range(module_name(source.decoder), probes.decoder.in_float32[0])
    return probes


def _require_range(name: str, images: Float32) -> None:
    """Raise VAEError for images of a decoder that leave [0, 1]."""
    low = float(images.min())
    high = float(images.max())
    # NaN isn't within.
    is_within_range = low >= 0 and high <= 1
    if not is_within_range:
        raise VAEError(
            f"{name}: its images reach from {low:.3g} to {high:.3g} and must lie in [0, 1]: name "
            "the range that it was trained on with --image-range (image_range=), or end it with a "
            "sigmoid"
        )


def _probe_inputs(source: ExportSource, count: int) -> tuple[Float32, Float32]:
    """Images and latents (count, …): real images where there are any, and latents out to ±4."""
    rng = np.random.default_rng(0)
    images = rng.random((count, *source.image_shape), np.float32)
    if source.heldout_images is not None:
        # np.resize repeats the images where there are fewer.
        images = np.resize(source.heldout_images, images.shape)
    shape = (count, *source.traced_latent_shape)
    z = rng.uniform(-parity.LATENT_REACH, parity.LATENT_REACH, shape)
    z[0] = parity.LATENT_REACH
    z[1] = -parity.LATENT_REACH
    return images, z.astype(np.float32)


def _write_portable(
    source: ExportSource, folder: Path, probes: Probes, tolerance: float
) -> Variant:
    """Write encoder.onnx and decoder.onnx, which run on every execution provider."""
    notes = _metadata(source)
    encoder = export_graph(
        source.encoder,
        source.image_shape,
        "image",
        ["z_mean", "z_log_var"],
        notes,
        any_size=source.dynamic_size,
    ).SerializeToString()
    decoder = export_graph(
        source.decoder,
        source.traced_latent_shape,
        "z",
        ["image"],
        notes,
        any_size=source.dynamic_size,
    ).SerializeToString()
    reports = {
        "encoder": _prove(probes.encoder, encoder, probes.batches, tolerance),
        "decoder": _prove(probes.decoder, decoder, probes.batches, tolerance),
    }
    shapes = None
    if source.dynamic_size:
        _, height, width = source.image_shape
        shapes = shapes_at(source, (height, width))
        for part, sizes in prove_sizes(source, encoder, decoder, tolerance).items():
            reports[part]["sizes"] = sizes
    return Variant(
        name="fp32",
        precision="fp32",
        providers=(ANY_PROVIDER,),
        encoder=write_graph(folder, "encoder.onnx", encoder, shapes),
        decoder=write_graph(folder, "decoder.onnx", decoder, shapes),
        parity=reports,
    )


def _write_fixed(
    source: ExportSource, folder: Path, probes: Probes, options: WriteOptions
) -> list[Variant]:
    """The variant of one batch alone, where it was asked for."""
    if options.batch is None:
        return []
    expected = {"encoder": probes.encoder, "decoder": probes.decoder}
    notes = _metadata(source)
    return [write_fixed_batch(source, folder, options.batch, notes, expected, options.tolerance)]


def _with_int8(
    source: ExportSource,
    folder: Path,
    bundle: Bundle,
    options: WriteOptions,
    on_finding: Callable[[str], object],
) -> Bundle:
    """The bundle with int8 for x86-64 and for ARM, or as much of it as can be had."""
    # onnxruntime's quantization tools take a second to import.
    from vae_export.int8.target import ANY_CPU, ARM_CPU

    add = partial(_with_int8_for, source, folder, options.int8_budget)
    try:
        bundle = add(bundle, ANY_CPU)
    except Int8UnavailableError as error:
        if options.strict:
            raise
        on_finding(f"warning: {error}; the bundle has fp32 alone")
        return bundle
    try:
        return add(bundle, ARM_CPU)
    except Int8UnavailableError as error:
        on_finding(f"warning: {error}; 64-bit ARM has no int8 graphs of its own")
        return bundle


def _with_int8_for(
    source: ExportSource, folder: Path, budget: float | None, bundle: Bundle, target: Target
) -> Bundle:
    from vae_export.int8.attempts import add_int8

    if source.dynamic_size:
        raise Int8UnavailableError("int8: graphs of a dynamic size have none")
    if source.calibration_images is None or not len(source.calibration_images):
        raise VAEError(
            "int8 needs images to calibrate on: a checkpoint that carries some, --calibration, "
            "or images="
        )
    return add_int8(
        bundle,
        folder,
        source.calibration_images,
        budget,
        measure=partial(_measured, source, folder),
        target=target,
    )


def _remove_unlisted(folder: Path, bundle: Bundle) -> None:
    """Remove the graphs that no variant of the bundle names: what attempts at int8 left."""
    listed: set[str] = set()
    for variant in bundle.variants:
        listed.update((variant.encoder.file, variant.decoder.file))
    for file in folder.glob("*.onnx"):
        if file.name not in listed:
            file.unlink()


def _prove(
    expected: parity.Expected, model_bytes: bytes, batches: tuple[int, ...], tolerance: float
) -> dict[str, Any]:
    """Raise VAEError where a graph differs from torch; else return the report for the manifest."""
    differences = parity.measure(expected, model_bytes, batches)
    parity.require(differences, tolerance)
    return parity.report(differences, batches)


def _describe(source: ExportSource, variants: Sequence[Variant]) -> Bundle:
    return Bundle(
        latent_dim=source.latent_dim,
        latent_shape=source.latent_shape,
        dynamic_size=source.dynamic_size,
        image_shape=source.image_shape,
        variants=tuple(variants),
        likelihood=source.likelihood,
        preprocess=source.preprocess,
        labels=source.labels,
        density=source.density,
        training=source.training,
        producer={"vae-edge": metadata.version("vae-edge"), "torch": str(torch.__version__)},
    )


def _measured(source: ExportSource, folder: Path, bundle: Bundle) -> Bundle:
    """Add each variant's score quantiles and its change of the ELBO, by the runtime itself.

    Measured on the held-out images; the first variant is what the others are compared with.
    """
    # The runtime opens nothing without a manifest.
    write_manifest(folder, bundle)
    if source.heldout_images is None:
        return bundle
    reference = None
    measured = []
    for variant in bundle.variants:
        with vae_runtime.VAE(folder, "cpu", variant=variant.name) as vae:
            scores = vae.score(source.heldout_images)
            relative = vae.score(source.heldout_images, relative=True)
        if reference is None:
            reference = scores.mean()
        measured.append(
            replace(
                variant,
                elbo_change=float(scores.mean() - reference),
                score_quantiles=_quantiles(scores),
                relative_quantiles=_quantiles(relative),
            )
        )
    return replace(bundle, variants=tuple(measured))


def _quantiles(scores: Float64) -> dict[str, float]:
    return {str(share): float(np.quantile(scores, share)) for share in SCORE_QUANTILES}


def _metadata(source: ExportSource) -> dict[str, str]:
    """What each graph says of itself, for those who meet it without its bundle."""
    return {
        "producer": "vae-edge",
        "version": metadata.version("vae-edge"),
        "latent_dim": str(source.latent_dim),
        "image_shape": ",".join(map(str, source.image_shape)),
        "precision": "fp32",
        "checkpoint_sha256": source.checkpoint_sha256,
    }
