"""What the page asks of the model. Each call takes the VAE and a Request, and gives an Answer.

Images travel as raw bytes, (H, W, C) uint8 in C order: a digit is 784 of them, and a canvas takes
them as they are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vae_runtime.arrays import Float32, Float64, to_uint8
from vae_runtime.bundle import FITS, Component, Fit, Preprocess
from vae_runtime.formats.images import read_image_bytes
from vae_runtime.formats.png import png_bytes
from vae_runtime.formats.sheets import sheet
from vae_runtime.latent.gaussian import log_gaussian, log_mixture
from vae_runtime.latent.labels import purest_place
from vae_runtime.latent.novelty import Yardstick, yardstick
from vae_runtime.latent.places import grid
from vae_runtime.latent.scores import relative_scores

if TYPE_CHECKING:
    from vae_runtime.vae import VAE

# Bytes of a request's body.
MAX_JSON_BYTES = 1 << 16
MAX_FILE_BYTES = 32 << 20
# Cells along a side of the plane.
MAX_CELLS = 40
# Latents beyond it are a mistake.
MAX_LATENT = 1e6
# With more dimensions a plane is a slice that data hardly ever lies in.
MAX_FADED_DIM = 2
# A cell has its least brightness where the data's density is this many times below the prior's.
FADED_RATIO = 100
FADED_BRIGHTNESS = 0.25


@dataclass(frozen=True)
class Request:
    """The body of a request and the parameters of its query."""

    body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The response to one request."""

    body: bytes
    content_type: str
    status: HTTPStatus = HTTPStatus.OK


class RequestError(Exception):
    """A request that is not served, with the HTTP status that says so."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Call:
    """A function that the page may call, by which HTTP method, with a body of how many bytes."""

    function: Callable[[VAE, Request], Answer]
    method: str = "POST"
    max_bytes: int = MAX_JSON_BYTES


def model(vae: VAE, request: Request) -> Answer:
    """What the page needs to draw itself: shapes, what runs it, where the labels lie."""
    means = {}
    places = {}
    for name, label in vae.labels.items():
        means[name] = list(label.mean)
        places[name] = list(purest_place(vae.labels, name))
    preprocess = vae.bundle.preprocess
    return _json(
        {
            "name": vae.path.name,
            "latent_dim": vae.latent_dim,
            "image_shape": list(vae.image_shape),
            "provider": vae.provider.removesuffix("ExecutionProvider"),
            "precision": vae.precision,
            # The server has one model; the page that has it by itself may load another variant.
            "precisions": [vae.precision],
            "labels": means,
            "places": places,
            "center": vae.label_mean().tolist() if means else [],
            "has_density": bool(vae.bundle.density) and vae.latent_dim <= MAX_FADED_DIM,
            "preprocess": {"fit": preprocess.fit, "invert": preprocess.invert},
            "fits": FITS,
        }
    )


def decode(vae: VAE, request: Request) -> Answer:
    """{"z": [D numbers]} -> the image's bytes."""
    z = _latent(vae, _fields(request.body).get("z"))
    images = vae.decode(z[None])
    return Answer(_pixels(images[0]), "application/octet-stream")


def plane(vae: VAE, request: Request) -> Answer:
    """{"z": anchor, "axes": [a, b], "reach": r, "cells": n, "fade": true} -> a PNG of n×n cells.

    The plane reaches over [-r, r]; z[b] grows upwards. Cells fade where no training image lies.
    """
    fields = _fields(request.body)
    cells = fields.get("cells")
    reach = fields.get("reach")
    axes = fields.get("axes")
    if not isinstance(cells, int) or not 1 <= cells <= MAX_CELLS:
        raise ValueError(f"'cells' must be a whole number from 1 to {MAX_CELLS}")
    if not isinstance(reach, int | float) or not 0 < reach <= MAX_LATENT:
        raise ValueError("'reach' must be a positive number")
    if not isinstance(axes, list) or len(axes) != 2 or not all(type(a) is int for a in axes):
        raise ValueError("'axes' must be two latent dimensions")
    points = (np.arange(cells) + 0.5) / cells * 2 * reach - reach
    downwards = points[::-1]
    z = grid(points, downwards, (axes[0], axes[1]), _latent(vae, fields.get("z")))
    images = vae.decode(z)
    if fields.get("fade") is True and vae.bundle.density:
        images *= _closeness(vae.bundle.density, z)[:, None, None, None].astype(np.float32)
    return Answer(png_bytes(sheet(images, cells)), "image/png")


def encode(vae: VAE, request: Request) -> Answer:
    """An image file, with ?fit= and ?invert=0 or 1 -> what the model makes of it."""
    preprocess = _preprocess(request.query, vae.bundle.preprocess)
    images = read_image_bytes(request.body, vae.image_shape, preprocess)[None]
    z_mean, z_log_var = vae.encode(images, inference="refined")
    reconstruction = vae.decode(z_mean)
    scores = vae.score(images)
    score = float(scores[0])
    known = yardstick(vae.variant)
    judged = score
    if known.is_relative:
        judged = float(relative_scores(scores, images, vae.bundle.likelihood)[0])
    return _json(
        {
            "z_mean": z_mean[0].ravel().tolist(),
            "z_log_var": z_log_var[0].ravel().tolist(),
            "score": score,
            "verdict": verdict(judged, known),
            "is_known": known.is_known(judged),
            "image": base64.b64encode(_pixels(images[0])).decode(),
            "reconstruction": base64.b64encode(_pixels(reconstruction[0])).decode(),
        }
    )


def verdict(score: float, known: Yardstick) -> str:
    """What an image's score says in words; without quantiles there is nothing to say."""
    quantiles = known.quantiles
    if not quantiles:
        return ""
    if not known.is_known(score):
        return "unlike anything the model knows"
    for share in sorted(quantiles, key=float):
        if score < quantiles[share]:
            return f"rare: fewer than 1 in {1 / float(share):.0f} real images score lower"
    return "typical"


def _closeness(density: Sequence[Component], z: Float64) -> Float64:
    """How bright a cell at z (N, D) is, (N,): fully where images lie as densely as by the prior."""
    latent_dim = z.shape[1]
    log_prior = log_gaussian(z, np.zeros(latent_dim), np.ones(latent_dim))
    log_ratio = log_mixture(density, z) - log_prior
    share = np.clip(1 + log_ratio / np.log(FADED_RATIO), 0, 1)
    brightness: Float64 = FADED_BRIGHTNESS + (1 - FADED_BRIGHTNESS) * share
    return brightness


CALLS = {
    "/api/model": Call(model, method="GET"),
    "/api/decode": Call(decode),
    "/api/plane": Call(plane),
    "/api/encode": Call(encode, max_bytes=MAX_FILE_BYTES),
}


def _preprocess(query: Mapping[str, str], default: Preprocess) -> Preprocess:
    """What the query asks for; where it doesn't, the bundle's own."""
    invert = query["invert"] == "1" if "invert" in query else None
    return default.changed(cast(Fit | None, query.get("fit")), invert)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the request is not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("the request is not a JSON object")
    return fields


def _latent(vae: VAE, z: Any) -> Float64:
    if not isinstance(z, list) or len(z) != vae.latent_dim:
        raise ValueError(f"'z' must be {vae.latent_dim} numbers")
    if not all(type(value) in (int, float) for value in z):
        raise ValueError(f"'z' must be {vae.latent_dim} numbers")
    if not all(-MAX_LATENT <= value <= MAX_LATENT for value in z):
        raise ValueError(f"'z' must lie within ±{MAX_LATENT:g}")
    return np.array(z, np.float64)


def _pixels(image: Float32) -> bytes:
    return to_uint8(image).transpose(1, 2, 0).tobytes()


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value, allow_nan=False).encode(), "application/json")
