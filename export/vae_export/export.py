"""From a pair of modules, or a checkpoint, to a bundle on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

import vae_runtime
from vae_export import parity
from vae_export.contract import as_list, copied, module_name, require_contract
from vae_export.graphs import BookEncoder, export_graph, write_graph
from vae_export.rewrites import rewrite_for_cpu
from vae_export.timing import faster_everywhere
from vae_runtime.bundle import (
    CHECK_FILE,
    MANIFEST,
    Bundle,
    Component,
    Label,
    Likelihood,
    Preprocess,
    Variant,
    is_bundle,
)
from vae_runtime.errors import VAEError
from vae_runtime.files import atomic_directory, replacing_directory
from vae_runtime.images import check_images
from vae_runtime.precision import ELBO_BUDGET
from vae_train.checkpoint import load_checkpoint
from vae_train.statistics import label_statistics

Array = NDArray[np.float32]
QUANTILES = (0.001, 0.01, 0.05)
LATENT_REACH = 4.0
CHECKED = 8
PROBED = max(parity.BATCHES)


@dataclass(frozen=True)
class Model:
    """What is exported: modules in evaluation mode, and what is known of them.

    `images` (N, C, H, W) float32 are real ones that training didn't see, None without any; `calibration` are some of
    the training set.
    """

    encoder: nn.Module
    decoder: nn.Module
    image_shape: tuple[int, int, int]
    latent_dim: int
    likelihood: Likelihood
    images: Array | None = None
    calibration: Array | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Preprocess = field(default_factory=Preprocess)
    source_sha256: str = ""


def export_bundle(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    output: str | os.PathLike[str],
    likelihood: str | Likelihood = "bernoulli",
    images: ArrayLike | None = None,
    labels: Sequence[Any] | None = None,
    precisions: Sequence[str] = ("fp32",),
    tolerance: float = parity.TOLERANCE,
    force: bool = False,
) -> Bundle:
    """Write the bundle `output` for any pair of modules that keep the contract.

    `encoder` takes images (N, C, H, W) float32 in [0, 1] and returns z_mean and z_log_var, each (N, latent_dim);
    `decoder` takes z (N, latent_dim) and returns images in [0, 1]. `images` (N, C, H, W), float in [0, 1] or uint8,
    serve the parity report, the score quantiles, int8 and, with `labels` (N,), the concept vectors; without them
    parity uses seeded noise, and "int8" among `precisions` is refused. Raises VAEError when the modules cannot be
    exported, when a graph differs from torch by more than `tolerance` (relative to the output's largest magnitude), or
    when `output` exists.
    """
    likelihood = Likelihood(likelihood) if isinstance(likelihood, str) else likelihood
    if likelihood.name == "gaussian" and len(likelihood.log_var) != image_shape[0]:
        raise ValueError("a gaussian likelihood needs one log variance per channel: Likelihood('gaussian', (…,))")
    array = None if images is None else check_images(images, image_shape)
    if labels is not None and (array is None or len(labels) != len(array)):
        raise ValueError("labels need as many images")
    encoder, decoder = (copied(module).cpu().eval() for module in (encoder, decoder))
    known = {} if labels is None or array is None else _statistics(encoder, array, labels)
    model = Model(encoder, decoder, image_shape, latent_dim, likelihood, array, array, known)
    return write_bundle(model, Path(output), precisions=precisions, tolerance=tolerance, force=force)


def export_checkpoint(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    precisions: Sequence[str] = ("fp32",),
    tolerance: float = parity.TOLERANCE,
    calibration: Array | None = None,
    force: bool = False,
) -> tuple[Path, Bundle]:
    """Write the bundle of a `model.pt`, by default beside it as `model.vae`. Raises VAEError."""
    path = Path(checkpoint)
    saved = load_checkpoint(path)
    encoder: nn.Module = saved.model.encoder
    model = Model(
        BookEncoder(encoder).eval() if saved.config.sampling == "book" else encoder,
        saved.model.decoder,
        saved.config.image_shape,
        saved.config.latent_dim,
        saved.likelihood,
        check_images(saved.heldout_images, saved.config.image_shape),
        check_images(saved.train_images, saved.config.image_shape) if calibration is None else calibration,
        {name: _label(values) for name, values in saved.label_statistics.items()},
        saved.training,
        Preprocess(saved.config.fit),
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    target = Path(output) if output else path.with_suffix(".vae")
    return target, write_bundle(model, target, precisions=precisions, tolerance=tolerance, force=force)


def write_bundle(
    model: Model, output: Path, *, precisions: Sequence[str] = ("fp32",), tolerance: float, force: bool
) -> Bundle:
    """Export, rewrite, measure, and only then write."""
    opened = replacing_directory(output, is_bundle) if force else atomic_directory(output)
    with opened as folder:
        images, latents = _probes(model)
        codes = {"z_mean": (model.latent_dim,), "z_log_var": (model.latent_dim,)}
        require_contract(model.encoder, torch.from_numpy(images[:CHECKED]), codes)
        (decoded,) = require_contract(model.decoder, torch.from_numpy(latents), {"image": model.image_shape})
        if not (float(decoded.min()) >= 0 and float(decoded.max()) <= 1):
            raise VAEError(f"{module_name(model.decoder)}: its images must lie in [0, 1]; end it with a sigmoid")
        expected = {"encoder": parity.expect(model.encoder, images), "decoder": parity.expect(model.decoder, latents)}
        variants = [_portable(model, folder, expected, tolerance)]
        rewritten = rewrite_for_cpu((folder / variants[0].decoder.file).read_bytes())
        if rewritten and (variant := _faster(folder, variants[0], rewritten, expected["decoder"], tolerance)):
            variants.append(variant)
        if "int8" in precisions:
            variants.append(_quantised(model, folder, variants))
        _write_check(model, folder, images[:CHECKED], latents[-CHECKED:])
        bundle = Bundle(
            model.latent_dim,
            model.image_shape,
            tuple(variants),
            model.likelihood,
            preprocess=model.preprocess,
            labels=model.labels,
            training=model.training,
            producer={"vae-edge": metadata.version("vae-edge"), "torch": str(torch.__version__)},
        )
        bundle = _scored(model, folder, bundle)
        _require_budget(bundle)
        (folder / MANIFEST).write_text(bundle.to_json(), "utf-8")
        with vae_runtime.load(folder, provider="cpu") as vae:
            vae.check()
    return bundle


def _portable(model: Model, folder: Path, expected: Mapping[str, parity.Expected], tolerance: float) -> Variant:
    notes = _metadata(model)
    shape, z = model.image_shape, (model.latent_dim,)
    encoder = export_graph(model.encoder, shape, "image", ["z_mean", "z_log_var"], notes)
    decoder = export_graph(model.decoder, z, "z", ["image"], notes)
    contents = {"encoder": encoder.SerializeToString(), "decoder": decoder.SerializeToString()}
    reports = {}
    for part, content in contents.items():
        differences = parity.measure(expected[part], content)
        parity.require(differences, tolerance)
        reports[part] = parity.report(differences)
    files = {part: write_graph(folder, f"{part}.onnx", content) for part, content in contents.items()}
    return Variant("fp32", "fp32", ("*",), files["encoder"], files["decoder"], reports)


def _faster(
    folder: Path, portable: Variant, rewritten: bytes, expected: parity.Expected, tolerance: float
) -> Variant | None:
    """The decoder rewritten for onnxruntime's CPU provider, where that is faster with and without blocked layouts."""
    plain = (folder / portable.decoder.file).read_bytes()
    if not faster_everywhere(rewritten, plain, expected.inputs[:16]):
        return None
    differences = parity.measure(expected, rewritten)
    parity.require(differences, tolerance)
    decoder = write_graph(folder, "decoder.cpu.onnx", rewritten)
    report = {"encoder": portable.parity["encoder"], "decoder": parity.report(differences)}
    return Variant("cpu", "fp32", ("CPUExecutionProvider",), portable.encoder, decoder, report)


def _quantised(model: Model, folder: Path, fp32: Sequence[Variant]) -> Variant:
    from vae_export.quantise import quantised

    if model.calibration is None or not len(model.calibration):
        raise VAEError("int8 needs images to calibrate on: a checkpoint that carries some, --calibration, or images=")
    return quantised(fp32[0], fp32[-1], folder, model.calibration, model.likelihood)


def _require_budget(bundle: Bundle) -> None:
    for variant in bundle.variants:
        if variant.elbo_change is not None and variant.elbo_change < -ELBO_BUDGET:
            raise VAEError(
                f"{variant.name} loses {-variant.elbo_change:.2f} nats of ELBO on held-out images, more than the "
                f"{ELBO_BUDGET} allowed; nothing was written: export without --precision {variant.precision}"
            )


def _scored(model: Model, folder: Path, bundle: Bundle) -> Bundle:
    """With each variant's score quantiles and ELBO change on held-out images, measured by the runtime itself."""
    if model.images is None:
        return bundle
    variants, reference = [], None
    for variant in bundle.variants:
        alone = replace(bundle, variants=(replace(variant, providers=("*",)),))
        (folder / MANIFEST).write_text(alone.to_json(), "utf-8")
        with vae_runtime.load(folder, provider="cpu", precision=variant.precision) as vae:
            scores = vae.score(model.images)
        reference = scores.mean() if reference is None else reference
        quantiles = {str(q): float(np.quantile(scores, q)) for q in QUANTILES}
        change = float(scores.mean() - reference)
        variants.append(replace(variant, elbo_change=change, score_quantiles=quantiles))
    return replace(bundle, variants=tuple(variants))


def _probes(model: Model) -> tuple[Array, Array]:
    """256 images and latents: real ones where there are any, and latents out to ±4."""
    random = np.random.default_rng(0)
    noise = random.random((PROBED, *model.image_shape), np.float32)
    # np.resize repeats the images where there are fewer.
    images = noise if model.images is None else np.resize(model.images, noise.shape)
    latents = random.uniform(-LATENT_REACH, LATENT_REACH, (PROBED, model.latent_dim)).astype(np.float32)
    latents[0], latents[1] = LATENT_REACH, -LATENT_REACH
    return images, latents


def _write_check(model: Model, folder: Path, images: Array, latents: Array) -> None:
    with torch.no_grad():
        z_mean, z_log_var = (v.numpy() for v in model.encoder(torch.from_numpy(images)))
        decoded = as_list(model.decoder(torch.from_numpy(latents)))[0].numpy()
    # float32 resolves 6e-8 near 1: the digits that black pixels have beyond that say nothing, and don't compress.
    decoded = decoded.round(7)
    arrays = {"images": images, "latents": latents, "z_mean": z_mean, "z_log_var": z_log_var, "decoded": decoded}
    with (folder / CHECK_FILE).open("wb") as file:
        np.savez_compressed(file, **arrays)


def _metadata(model: Model) -> dict[str, str]:
    return {
        "producer": "vae-edge",
        "version": metadata.version("vae-edge"),
        "latent_dim": str(model.latent_dim),
        "image_shape": ",".join(map(str, model.image_shape)),
        "precision": "fp32",
        "checkpoint_sha256": model.source_sha256,
    }


@torch.no_grad()
def _statistics(encoder: nn.Module, images: Array, labels: Sequence[Any]) -> dict[str, Label]:
    names = sorted({str(label) for label in labels}, key=lambda s: (len(s), s))
    codes = [encoder(torch.from_numpy(images[i : i + PROBED])) for i in range(0, len(images), PROBED)]
    z_mean, z_log_var = (torch.cat(part).double().numpy() for part in zip(*codes, strict=True))
    positions = np.array([names.index(str(label)) for label in labels])
    return {k: _label(v) for k, v in label_statistics(z_mean, z_log_var, positions, names).items()}


def _label(values: Mapping[str, Any]) -> Label:
    components = tuple(Component(c["weight"], tuple(c["mean"]), _rows(c["cov"])) for c in values["components"])
    return Label(values["count"], tuple(values["mean"]), _rows(values["cov"]), components)


def _rows(matrix: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix)
