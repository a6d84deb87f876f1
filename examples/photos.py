"""Make a folder of color photographs of lit balls, matte/ and glossy/, to train on.

Usage: python examples/photos.py [-n 2000] [-o photos]

Then: vae-train --data photos --image-size 64 --latent-dim 8 --likelihood gaussian \\
          --preset quick --epochs 25 -o runs/photos
"""

import argparse
import colorsys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96
JPEG_QUALITY = 92
AMBIENT_LIGHT = 0.15
SHADOW_STRENGTH = 0.6
NOISE = 0.01

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Ball:
    """Where it lies, in shares of the photograph, and the unit vector (3,) towards the light."""

    center: Float64
    radius: float
    light: Float64


def main() -> None:
    arguments = parse_arguments()
    rng = np.random.default_rng(0)
    for i in range(arguments.count):
        glossy = i % 2 == 1
        folder = arguments.output / ("glossy" if glossy else "matte")
        folder.mkdir(parents=True, exist_ok=True)
        photograph(rng, glossy).save(folder / f"{i:05d}.jpg", quality=JPEG_QUALITY)
    print(arguments.output)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", "--count", type=int, default=2000)
    parser.add_argument("-o", "--output", type=Path, default=Path("photos"))
    return parser.parse_args()


def photograph(rng: np.random.Generator, glossy: bool) -> Image.Image:
    """A ball of a random color, place and size on a table, lit from a random side."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    table = hsv(rng.uniform(0.05, 0.15), 0.3, rng.uniform(0.5, 0.8))
    scene = table * (0.6 + 0.4 * y)[..., None]
    ball = random_ball(rng)
    scene *= (1 - SHADOW_STRENGTH * shadow_of(ball, x, y))[..., None]

    normal_x = (x - ball.center[0]) / ball.radius
    normal_y = (y - ball.center[1]) / ball.radius
    inside = normal_x**2 + normal_y**2 < 1
    normal_z = np.sqrt(np.clip(1 - normal_x**2 - normal_y**2, 0, 1))
    light_x, light_y, light_z = ball.light
    shade = np.clip(normal_x * light_x + normal_y * light_y + normal_z * light_z, 0, 1)
    color = hsv(rng.uniform(), 0.8, 0.9)
    surface = color * (AMBIENT_LIGHT + (1 - AMBIENT_LIGHT) * shade)[..., None]
    if glossy:
        reflection = np.clip(2 * shade * normal_z - light_z, 0, 1)
        surface += 0.9 * (reflection**20)[..., None]
    scene[inside] = surface[inside]

    scene += rng.normal(0, NOISE, scene.shape)
    return Image.fromarray((np.clip(scene, 0, 1) * 255).astype(np.uint8))


def random_ball(rng: np.random.Generator) -> Ball:
    radius = rng.uniform(0.18, 0.3)
    center = rng.uniform(0.35, 0.65, 2)
    light = np.array([rng.uniform(-0.7, 0.7), -rng.uniform(0.4, 0.8), 1.0])
    return Ball(center, radius, light / np.linalg.norm(light))


def shadow_of(ball: Ball, x: Float64, y: Float64) -> Float64:
    """How dark each pixel of the table is, 0 to 1: an ellipse on the side away from the light."""
    across = (x - ball.center[0] + ball.light[0] * ball.radius) / 1.3
    along = (y - ball.center[1] - 0.9 * ball.radius) / 0.45
    darkness: Float64 = np.clip(1.4 - np.hypot(across, along) / ball.radius, 0, 1)
    return darkness


def hsv(hue: float, saturation: float, value: float) -> Float64:
    """A color as RGB (3,) in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


if __name__ == "__main__":
    main()
