"""VAEs from where people have them: factories, pythae's and diffusers' folders, pickled modules.

The libraries' packages are imported when such a folder is met; they are no dependencies of ours.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vae_export.factory import make_modules
from vae_export.weights import load_weights, read_saved
from vae_runtime.arrays import ImageShape
from vae_runtime.errors import VAEError

PYTHAE_FILE = "model_config.json"
DIFFUSERS_FILE = "config.json"
# Diffusers' pipelines keep their VAE in a folder of its own.
PIPELINE_FILE = "model_index.json"
PIPELINE_VAE = "vae"


@dataclass(frozen=True)
class LoadedVAE:
    """A whole VAE or a pair of modules, and what its library says of it; None where it doesn't."""

    modules: tuple[nn.Module, ...]
    findings: tuple[str, ...]
    image_shape: ImageShape | None = None
    likelihood: str | None = None


def load_vae(source: str, weights: Path | None, *, trust: bool) -> LoadedVAE:
    """A VAE from `package.module:factory`, a library's folder, or a file with a pickled module.

    `weights` go into what a factory makes. Raises VAEError naming what cannot be loaded.
    """
    path = Path(source)
    if path.is_dir():
        return load_folder(path, trust=trust)
    if path.exists():
        return load_pickled(path, trust=trust)
    modules = make_modules(source)
    if weights is None:
        random = "warning: no --weights: they are what the factory gives, random unless it loads"
        return LoadedVAE(modules, (random,))
    if len(modules) > 1:
        raise VAEError(f"{source}: gives a pair; --weights are for one whole module")
    return LoadedVAE(modules, (load_weights(modules[0], weights, trust=trust),))


def is_library_folder(path: Path) -> bool:
    """Whether pythae or diffusers wrote this folder."""
    names = (PYTHAE_FILE, DIFFUSERS_FILE, PIPELINE_FILE)
    return any((path / name).is_file() for name in names)


def load_folder(folder: Path, *, trust: bool) -> LoadedVAE:
    """The VAE that pythae or diffusers saved in a folder.

    Raises VAEError where the package is missing, where it cannot load the folder, and where loading
    would run code from the folder without `trust`.
    """
    if (folder / PYTHAE_FILE).is_file():
        return _load_pythae(folder, trust=trust)
    if (folder / PIPELINE_FILE).is_file():
        folder = folder / PIPELINE_VAE
    return _load_diffusers(folder)


def load_pickled(file: Path, *, trust: bool) -> LoadedVAE:
    """The whole module that torch.save wrote. Raises VAEError for anything else."""
    saved = read_saved(file, trust=trust)
    if not isinstance(saved, nn.Module):
        raise VAEError(f"{file}: holds a {type(saved).__name__}, not a whole torch module")
    return LoadedVAE((saved,), (f"model: {file}, a pickled {type(saved).__name__}",))


def _load_pythae(folder: Path, *, trust: bool) -> LoadedVAE:
    pickles = sorted(file.name for file in folder.glob("*.pkl"))
    if pickles and not trust:
        raise VAEError(
            f"{folder}: its {', '.join(pickles)} is read by running code from the file; --trust "
            "(trust=True) does that, for folders whose origin you trust"
        )
    models = _package("pythae.models", "pythae", folder)
    model = _loaded(models.AutoModel.load_from_folder, folder)
    config = model.model_config
    shape = tuple(config.input_dim or ())
    loss = getattr(config, "reconstruction_loss", None)
    likelihoods = {"bce": "bernoulli", "mse": "gaussian"}
    return LoadedVAE(
        modules=(model,),
        findings=(f"model: {folder}, pythae's {type(model).__name__}",),
        image_shape=_image_shape(shape),
        likelihood=likelihoods.get(str(loss)),
    )


def _load_diffusers(folder: Path) -> LoadedVAE:
    try:
        config = json.loads((folder / DIFFUSERS_FILE).read_text("utf-8"))
        class_name = str(config["_class_name"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise VAEError(
            f"{folder / DIFFUSERS_FILE}: not the configuration of a model of diffusers"
        ) from error
    diffusers = _package("diffusers", "diffusers", folder)
    load = getattr(getattr(diffusers, class_name, None), "from_pretrained", None)
    if load is None:
        raise VAEError(f"{folder}: diffusers has no model {class_name}")
    model = _loaded(load, folder)
    channels = config.get("in_channels")
    size = config.get("sample_size")
    return LoadedVAE(
        modules=(model,),
        findings=(f"model: {folder}, diffusers' {class_name}",),
        image_shape=_image_shape((channels, size, size)),
        likelihood="gaussian",
    )


def _package(module: str, package: str, folder: Path) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise VAEError(
            f"{folder}: was saved by {package}, which cannot be imported ({error}): "
            f"pip install {package}"
        ) from error


def _loaded(load: Any, folder: Path) -> Any:
    try:
        return load(str(folder))
    except Exception as error:
        # Folders may be damaged or of another version, and whatever they import may be missing.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VAEError(f"{folder}: cannot be loaded: {reason[:300]}") from error


def _image_shape(shape: tuple[Any, ...]) -> ImageShape | None:
    if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        return None
    channels, height, width = shape
    return channels, height, width
