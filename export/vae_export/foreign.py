"""From somebody's modules, and what is said of them, to what is exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vae_export.adapters import Adapted, Hints, adapt
from vae_export.adapters.parts import unwrap_inside, unwrapped
from vae_export.labels import LatentPlaces, measure_latents
from vae_export.likelihoods import find_likelihood, giving_means
from vae_export.sizes import keeping_shape
from vae_export.source import ExportSource
from vae_export.torch_modules import copied, module_name
from vae_runtime.arrays import Float32, ImageShape
from vae_runtime.bundle import Likelihood, LikelihoodName, Preprocess
from vae_runtime.errors import VAEError

# Gray and RGB: what becomes a picture.
SHOWN_CHANNELS = (1, 3)

# One label per image.
Labels = Sequence[Any] | Tensor | NDArray[Any]
# Takes each line that says what was found.
OnFinding = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is said of somebody's VAE; None is found out. See `export_bundle`."""

    image_shape: ImageShape
    latent_dim: int | None = None
    hints: Hints = field(default_factory=Hints)
    likelihood: LikelihoodName | Likelihood | None = None
    # What the library that saved the model says, where it says something.
    told_likelihood: str | None = None
    preprocess: Preprocess = field(default_factory=Preprocess)
    # (N, C, H, W) in [0, 1], and the label of each.
    images: Float32 | None = None
    labels: Labels | None = None
    # Whether images may have any size.
    dynamic_size: bool = False


def source_of_modules(
    modules: Sequence[nn.Module], description: Description, on_finding: OnFinding
) -> ExportSource:
    """A whole VAE, or an encoder and a decoder, as what is exported; they stay as they are.

    Raises VAEError as `adapt` does, and for latents of another size than described; ValueError for
    labels without as many images.
    """
    images = description.images
    labels = _plain_labels(description)
    adapted = _adapted(modules, description)
    told = description.told_likelihood or _told_by_range(adapted)
    likelihood, finding = find_likelihood(
        description.likelihood,
        told,
        adapted.encoder,
        adapted.decoder,
        images,
        description.image_shape[0],
    )
    for line in (*adapted.findings, *_other_types(modules), finding, *_warnings(description)):
        on_finding(line)
    places = LatentPlaces({}, ())
    if images is not None and len(images):
        places = measure_latents(adapted.encoder, images, labels)
    is_dynamic = description.dynamic_size
    return ExportSource(
        encoder=keeping_shape(adapted.encoder) if is_dynamic else adapted.encoder,
        decoder=giving_means(adapted.decoder, likelihood),
        image_shape=description.image_shape,
        latent_dim=adapted.latent_dim,
        latent_shape=adapted.latent_shape if len(adapted.latent_shape) == 3 else (),
        dynamic_size=is_dynamic,
        likelihood=likelihood,
        heldout_images=images,
        calibration_images=images,
        labels=places.labels,
        density=places.density,
        preprocess=description.preprocess,
        training={"posterior": "none, an autoencoder"} if adapted.is_deterministic else {},
    )


def _warnings(description: Description) -> list[str]:
    channels = description.image_shape[0]
    if channels in SHOWN_CHANNELS:
        return []
    return [f"warning: images of {channels} channels can't be written as pictures, only as .npy"]


def _other_types(modules: Sequence[nn.Module]) -> list[str]:
    """A line that names the types of weights that become float32, where there are any."""
    names = set()
    for module in modules:
        for weights in module.parameters():
            if weights.is_floating_point() and weights.dtype != torch.float32:
                names.add(str(weights.dtype).removeprefix("torch."))
    return [f"weights: {', '.join(sorted(names))}, exported in float32"] if names else []


def _adapted(modules: Sequence[nn.Module], description: Description) -> Adapted:
    copies = [copied(unwrapped(module)).cpu().eval().float() for module in modules]
    for module in copies:
        unwrap_inside(module)
    adapted = adapt(*copies, image_shape=description.image_shape, hints=description.hints)
    wanted = description.latent_dim
    if wanted is not None and wanted != adapted.latent_dim:
        raise VAEError(
            f"{module_name(adapted.encoder)} gives {adapted.latent_dim} latents, not {wanted}"
        )
    return adapted


def _told_by_range(adapted: Adapted) -> str | None:
    """Images that reach below zero were no probabilities: such models learn squared errors."""
    return None if adapted.image_range.low >= 0 else "gaussian"


def _plain_labels(description: Description) -> Sequence[Any] | None:
    """Labels as Python values: a tensor's items would have names like `tensor(5)`.

    Raises ValueError where there aren't as many images.
    """
    labels = description.labels
    if labels is None:
        return None
    if description.images is None or len(labels) != len(description.images):
        raise ValueError("labels need as many images")
    to_list = getattr(labels, "tolist", None)
    if to_list is not None:
        plain: Sequence[Any] = to_list()
        return plain
    return [label.item() if hasattr(label, "item") else label for label in labels]
