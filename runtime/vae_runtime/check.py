"""Does this device compute what torch computed? check.npz compared, see `VAE.check`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vae_runtime.bundle import CHECK_FILE, Bundle, BundleStorage, Variant
from vae_runtime.door import MAX_CHECK_BYTES
from vae_runtime.errors import BundleError, VAEError
from vae_runtime.formats.npy import load_numpy_bytes

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

CHECK_ARRAYS = ("images", "latents", "z_mean", "z_log_var", "decoded")
# Relative to the output's largest magnitude: sums in fp32 differ between machines.
FP32_TOLERANCE = 1e-4
# A quantized variant may be this much further off than the exporter measured.
INT8_SLACK = 2.0


def read_check(storage: BundleStorage, bundle: Bundle) -> dict[str, NDArray[Any]]:
    """The arrays of a bundle's check.npz, as docs/bundle.md has them.

    Raises BundleError when the file is missing or damaged.
    """
    content = storage.read(CHECK_FILE, MAX_CHECK_BYTES)
    rows = dict.fromkeys(CHECK_ARRAYS, bundle.latent_dim)
    rows["images"] = rows["decoded"] = math.prod(bundle.image_shape)
    arrays = {}
    for name, row in rows.items():
        try:
            array = load_numpy_bytes(content, name, row, MAX_CHECK_BYTES)
        except VAEError as error:
            reason = str(error).removeprefix("the input: ")
            raise BundleError(f"{storage.where(CHECK_FILE)}: {reason}") from None
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise BundleError(f"{storage.where(CHECK_FILE)}: {name} holds no finite float32")
        if not array.size:
            raise BundleError(f"{storage.where(CHECK_FILE)}: {name} is empty")
        arrays[name] = array
    return arrays


def differences(vae: VAE) -> dict[str, float]:
    """The largest difference of each output from torch's.

    Raises VAEError naming the output when one is beyond the tolerance, BundleError for a damaged
    file.
    """
    stored = read_check(vae.storage, vae.bundle)
    try:
        codes = vae.encode(stored["images"])
        decoded = vae.decode(stored["latents"])
    except (ValueError, TypeError) as error:
        # The arrays aren't what these methods take.
        raise BundleError(f"{vae.storage.where(CHECK_FILE)}: {error}") from None
    z_mean, z_log_var = [array.reshape(len(array), -1) for array in codes]
    found = {}
    for name, array in {"z_mean": z_mean, "z_log_var": z_log_var, "decoded": decoded}.items():
        expected = stored[name]
        if array.shape != expected.shape or not array.size:
            raise BundleError(
                f"{vae.storage.where(CHECK_FILE)}: {name} has the shape {expected.shape}"
            )
        found[name] = float(np.abs(array - expected).max())
        magnitude = max(1.0, float(np.abs(expected).max()))
        allowed = _tolerance(vae.variant, name) * magnitude
        if not found[name] <= allowed:
            raise VAEError(
                f"{vae.path}: {name} differs from torch by {found[name]:.3g} on {vae.provider}, "
                f"more than {allowed:.3g}"
            )
    return found


def _tolerance(variant: Variant, output: str) -> float:
    if variant.precision == "fp32":
        return FP32_TOLERANCE
    part = "decoder" if output == "decoded" else "encoder"
    report = variant.parity.get(part)
    measured = report.get("largest") if isinstance(report, dict) else None
    if not isinstance(measured, int | float):
        return FP32_TOLERANCE
    return INT8_SLACK * float(measured)
