"""What modules return: tensors, tuples, dicts, dataclasses, model outputs, distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

# What an encoder may give beside the mean, in place of its log variance.
Spread = Literal["log_var", "var", "std", "log_std"]
SPREADS: tuple[Spread, ...] = get_args(Spread)

# The names of fields, the usual ones first: keras and ours, pythae, diffusers, torch.
MEAN_FIELDS = ("z_mean", "mean", "mu", "embedding", "loc", "z_mu", "latent_mean")
SPREAD_FIELDS: Mapping[str, Spread] = {
    "z_log_var": "log_var",
    "log_var": "log_var",
    "logvar": "log_var",
    "log_covariance": "log_var",
    "log_variance": "log_var",
    "z_logvar": "log_var",
    "latent_log_var": "log_var",
    "latent_logvar": "log_var",
    "log_std": "log_std",
    "log_sigma": "log_std",
    "stddev": "std",
    "std": "std",
    "sigma": "std",
    "scale": "std",
    "variance": "var",
    "var": "var",
}
# Fields that hold the posterior as an object of its own.
POSTERIOR_FIELDS = ("latent_dist", "posterior", "q_z", "qz", "dist")
IMAGE_FIELDS = (
    "reconstruction",
    "sample",
    "recon_x",
    "recon",
    "x_recon",
    "x_hat",
    "x_mean",
    "image",
    "images",
    "probs",
    "mean",
    "loc",
)
# Fields of latents that have no spread: those of diffusers' and pythae's autoencoders.
LATENT_FIELDS = ("latents", "embedding", "z")

# The way from an output to a tensor in it: names of fields and positions.
Path = tuple[str | int, ...]


# The log variance that stands for none: a standard deviation of 4.5e-5.
NO_LOG_VAR = -20.0


@dataclass(frozen=True)
class PosteriorPaths:
    """Where an encoder's output holds mean and spread.

    With `halves` one tensor holds both, one behind the other; without a spread there is none, in a
    deterministic autoencoder.
    """

    mean: Path
    spread: Path | None = None
    kind: Spread = "log_var"
    halves: bool = False

    @property
    def is_deterministic(self) -> bool:
        return self.spread is None and not self.halves

    def describe(self) -> str:
        if self.halves:
            return f"{_shown(self.mean)}, its halves z_mean and {self.kind}"
        if self.spread is None:
            return f"{_shown(self.mean)}, without a variance"
        return f"{_shown(self.mean)} and {_shown(self.spread)} ({self.kind})"

    def read(self, output: Any) -> tuple[Tensor, Tensor]:
        """Mean and log variance of an encoder's output, both in the shape of the latents."""
        mean = at(output, self.mean)
        if self.spread is not None:
            return mean, log_variance(at(output, self.spread), self.kind)
        if self.halves:
            mean, spread = torch.chunk(mean, 2, 1)
            return mean, log_variance(spread, self.kind)
        return mean, torch.full_like(mean, NO_LOG_VAR)


def at(output: Any, path: Path) -> Any:
    """What `path` leads to in an output."""
    for step in path:
        output = output[step] if isinstance(step, int) else field(output, step)
    return output


def field(output: Any, name: str) -> Any:
    """A field of a mapping or an attribute of an object; None where there is none."""
    if isinstance(output, Tensor) or output is None:
        # A tensor has methods of these names.
        return None
    if isinstance(output, Mapping):
        return output.get(name)
    if type(output) in (tuple, list):
        return None
    try:
        return getattr(output, name, None)
    except NotImplementedError:
        # A distribution of torch's without a closed form for it.
        return None


def tensors_in(output: Any) -> dict[str, Tensor]:
    """Every tensor of an output by the name of its way, for messages."""
    if isinstance(output, Tensor):
        return {"the output": output}
    found = {}
    for name, value in _items(output):
        if isinstance(value, Tensor):
            found[str(name)] = value
    return found


def posterior_paths(output: Any) -> list[PosteriorPaths]:
    """The ways to mean and spread that the names of the fields tell, of `output` or inside it."""
    found = _named_posterior(output, ())
    if found is not None:
        return [found]
    for name in POSTERIOR_FIELDS:
        found = _named_posterior(field(output, name), (name,))
        if found is not None:
            return [found]
    several = []
    for step, item in _items(output):
        found = _named_posterior(item, (step,))
        if found is not None:
            several.append(found)
    return several


def image_path(output: Any) -> Path | None:
    """The way to the images in a decoder's output; None where no name and no position tells it."""
    if isinstance(output, Tensor):
        return ()
    if isinstance(output, tuple | list) and output:
        inner = image_path(output[0])
        return None if inner is None else (0, *inner)
    for name in IMAGE_FIELDS:
        if isinstance(field(output, name), Tensor):
            return (name,)
    return None


def latent_field(output: Any) -> Path | None:
    """The way to latents that are said to have no spread."""
    for name in LATENT_FIELDS:
        if isinstance(field(output, name), Tensor):
            return (name,)
    return None


def log_variance(spread: Tensor, kind: Spread) -> Tensor:
    """The log of the variance, of whatever an encoder gives in its place."""
    if kind == "log_var":
        return spread
    if kind == "log_std":
        return 2 * spread
    if kind == "var":
        return torch.log(spread)
    return 2 * torch.log(spread)


def describe_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Names and shapes, for messages: "0 (N, 16), 1 (N, 16)"."""
    shown = []
    for name, tensor in tensors.items():
        shape = ", ".join(map(str, tensor.shape[1:]))
        shown.append(f"{name} (N, {shape})")
    return ", ".join(shown)


def _items(output: Any) -> list[tuple[str | int, Any]]:
    """What an output holds, each with the step that leads to it."""
    if isinstance(output, Mapping):
        return list(output.items())
    if isinstance(output, tuple | list):
        return list(enumerate(output))
    return list(vars(output).items()) if hasattr(output, "__dict__") else []


def _named_posterior(output: Any, path: Path) -> PosteriorPaths | None:
    mean = _first_tensor(output, MEAN_FIELDS)
    spread = _first_tensor(output, tuple(SPREAD_FIELDS))
    if mean is None or spread is None:
        return None
    return PosteriorPaths((*path, mean), (*path, spread), SPREAD_FIELDS[spread])


def _first_tensor(output: Any, names: Sequence[str]) -> str | None:
    for name in names:
        if isinstance(field(output, name), Tensor):
            return name
    return None


def _shown(path: Path) -> str:
    return ".".join(map(str, path)) or "the output"
