"""The range of a model's own images: found in the last operation of its decoder, or given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vae_export.torch_modules import operation_name
from vae_runtime.errors import VAEError

# float32 may leave [0, 1] by a few roundings.
ROUNDING = 1e-5
# Operations that copy values as they are, for another layout.
COPYING = {"clone", "_to_copy", "_unsafe_view"}
# Packages whose models all work on images in [-1, 1], whatever their decoders end in.
CENTERED_PACKAGES = ("diffusers",)


@dataclass(frozen=True)
class ImageRange:
    """What the model calls black and white; `clamped` where its decoder may go beyond them.

    Raises ValueError where they aren't in order.
    """

    low: float = 0.0
    high: float = 1.0
    clamped: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"the image range {self.low:g},{self.high:g} is empty")

    @property
    def is_unit(self) -> bool:
        return self.low == 0 and self.high == 1

    def __str__(self) -> str:
        return f"{self.low:g},{self.high:g}"

    def to_model(self, image: Tensor) -> Tensor:
        """Images in [0, 1] to the model's range."""
        if self.is_unit:
            return image
        return image * (self.high - self.low) + self.low

    def from_model(self, image: Tensor) -> Tensor:
        """The model's images to [0, 1]."""
        if not self.is_unit:
            image = (image - self.low) / (self.high - self.low)
        return image.clamp(0, 1) if self.clamped else image


class _LastWriters(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types it not
    """Notes which operation wrote each tensor's memory; views leave it as it is."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: dict[int, str] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view:
            name = operation_name(func).rstrip("_")
            if name in COPYING:
                name = self.name_of(args[0])
            self.names[result.untyped_storage().data_ptr()] = name
        return result

    def name_of(self, tensor: Tensor) -> str:
        """The operation that made a tensor's values; "" where unknown."""
        return self.names.get(tensor.untyped_storage().data_ptr(), "")


@torch.no_grad()
def last_operation(run: Callable[[], Tensor]) -> str:
    """The operation that made the values of the tensor that `run` returns; "" where unknown."""
    writers = _LastWriters()
    with writers:
        result = run()
    return writers.name_of(result)


def find_range(
    images: Tensor, operation: str, module: nn.Module, name: str
) -> tuple[ImageRange, str]:
    """The range of a decoder's `images`, whose last operation is known, and what tells it.

    Raises VAEError with the range that was met where nothing tells it.
    """
    low = float(images.min())
    high = float(images.max())
    if not bool(images.isfinite().all()):
        raise VAEError(f"{name}: its images have values that are not finite")
    package = type(module).__module__.partition(".")[0]
    if package in CENTERED_PACKAGES:
        return ImageRange(-1, 1, clamped=True), f"that of {package}'s models"
    if operation == "tanh":
        return ImageRange(-1, 1), "the decoder ends in tanh"
    if operation == "sigmoid":
        return ImageRange(), "the decoder ends in sigmoid"
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return ImageRange(clamped=True), "no image that was tried leaves it"
    raise VAEError(
        f"{name}: its images reach from {low:.3g} to {high:.3g}, and its last operation "
        f"{f'({operation}) ' if operation else ''}doesn't say what is black and white: name the "
        "range that it was trained on with --image-range 0,1 or -1,1 (image_range=), or end it "
        "with a sigmoid if it gives logits"
    )
