"""What the page asks of the model. Each call takes the VAE, the request's body and its query, and gives an Answer.

Images travel as raw bytes, (H, W, C) uint8 in C order: a digit is 784 of them, and a canvas takes them as they are.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vae_runtime.vae import VAE

JSON_LIMIT = 1 << 16
FILE_LIMIT = 32 << 20
MOST_CELLS = 40
REACH = 1e6  # latents beyond it are a mistake


@dataclass(frozen=True)
class Answer:
    """The response to one request."""

    body: bytes
    kind: str
    status: HTTPStatus = HTTPStatus.OK


class RequestError(Exception):
    """A request that is not served, with the HTTP status that says so."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def model(vae: VAE) -> Answer:
    """What the page needs to draw itself: shapes, what runs it, the labels' means and purest places."""
    from vae_runtime.latent_space import purest

    labels = {name: list(label.mean) for name, label in vae.labels.items()}
    places = {name: list(purest(vae.labels, name)) for name in labels}
    centre = vae.label_mean().tolist() if labels else []
    return _json(
        {
            "name": vae.path.name,
            "latent_dim": vae.latent_dim,
            "image_shape": list(vae.image_shape),
            "provider": vae.provider.removesuffix("ExecutionProvider"),
            "precision": vae.precision,
            "labels": labels,
            "places": places,
            "centre": centre,
            "preprocess": {"fit": vae.bundle.preprocess.fit, "invert": vae.bundle.preprocess.invert},
        }
    )


def decode(vae: VAE, body: bytes, query: dict[str, str]) -> Answer:
    """{"z": [D numbers]} -> the image's bytes."""
    return Answer(_pixels(vae.decode(_latent(vae, _fields(body).get("z"))[None])[0]), "application/octet-stream")


def plane(vae: VAE, body: bytes, query: dict[str, str]) -> Answer:
    """{"z": anchor, "axes": [a, b], "reach": r, "cells": n} -> a PNG of n×n cells over [-r, r], z[b] upwards."""
    import numpy as np

    from vae_runtime.latent_space import grid
    from vae_runtime.png import save_png, sheet

    fields = _fields(body)
    cells, reach, axes = fields.get("cells"), fields.get("reach"), fields.get("axes")
    if not isinstance(cells, int) or not 1 <= cells <= MOST_CELLS:
        raise ValueError(f"'cells' must be a whole number from 1 to {MOST_CELLS}")
    if not isinstance(reach, int | float) or not 0 < reach <= REACH:
        raise ValueError("'reach' must be a positive number")
    if not isinstance(axes, list) or len(axes) != 2 or not all(type(a) is int for a in axes):
        raise ValueError("'axes' must be two latent dimensions")
    points = (np.arange(cells) + 0.5) / cells * 2 * reach - reach
    z = grid(points, points[::-1], (axes[0], axes[1]), _latent(vae, fields.get("z")))
    picture = io.BytesIO()
    save_png(sheet(vae.decode(z), cells), picture)
    return Answer(picture.getvalue(), "image/png")


def encode(vae: VAE, body: bytes, query: dict[str, str]) -> Answer:
    """An image file, with ?fit= and ?invert=1 -> its latent, what the model saw, its reconstruction and its score."""
    from vae_runtime.bundle import FITS, Preprocess
    from vae_runtime.images import read_picture_bytes

    own = vae.bundle.preprocess
    preprocess = Preprocess(query.get("fit", own.fit), query.get("invert", "01"[own.invert]) == "1")
    if preprocess.fit not in FITS:
        raise ValueError(f"the fit must be one of {', '.join(FITS)}")
    image = read_picture_bytes(body, vae.image_shape, preprocess)[None]
    z_mean, z_log_var = vae.encode(image)
    return _json(
        {
            "z_mean": [float(v) for v in z_mean[0]],
            "z_log_var": [float(v) for v in z_log_var[0]],
            "score": float(vae.score(image, samples=16)[0]),
            "image": base64.b64encode(_pixels(image[0])).decode(),
            "reconstruction": base64.b64encode(_pixels(vae.decode(z_mean)[0])).decode(),
        }
    )


CALLS: dict[str, tuple[Callable[[VAE, bytes, dict[str, str]], Answer], int]] = {
    "/api/decode": (decode, JSON_LIMIT),
    "/api/plane": (plane, JSON_LIMIT),
    "/api/encode": (encode, FILE_LIMIT),
}


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the request is not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("the request is not a JSON object")
    return fields


def _latent(vae: VAE, z: Any) -> NDArray[np.float64]:
    import numpy as np

    if not isinstance(z, list) or len(z) != vae.latent_dim or not all(type(v) in (int, float) for v in z):
        raise ValueError(f"'z' must be {vae.latent_dim} numbers")
    if not all(-REACH <= v <= REACH for v in z):
        raise ValueError(f"'z' must lie within ±{REACH:g}")
    return np.array(z, np.float64)


def _pixels(image: NDArray[np.float32]) -> bytes:
    from vae_runtime.png import to_uint8

    return to_uint8(image).transpose(1, 2, 0).tobytes()


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value, allow_nan=False).encode(), "application/json")
