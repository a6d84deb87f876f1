"""Make a folder of colour photographs of lit balls, matte/ and glossy/, to train on.

Usage: python examples/photos.py [-n 2000] [-o photos]

Then: vae-train --data photos --image-size 64 --latent-dim 8 --likelihood gaussian --preset quick --epochs 25 \\
          -o runs/photos
"""

import argparse
import colorsys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 96


def photograph(random: np.random.Generator, glossy: bool) -> Image.Image:
    """A ball of a random colour, place and size on a table, lit from a random side, with its shadow."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    ground = np.array(colorsys.hsv_to_rgb(random.uniform(0.05, 0.15), 0.3, random.uniform(0.5, 0.8)))
    scene = ground * (0.6 + 0.4 * y)[..., None]
    radius = random.uniform(0.18, 0.3)
    centre = random.uniform(0.35, 0.65, 2)
    light = np.array([random.uniform(-0.7, 0.7), -random.uniform(0.4, 0.8), 1.0])
    light /= np.linalg.norm(light)
    shadow = np.hypot((x - centre[0] + light[0] * radius) / 1.3, (y - centre[1] - 0.9 * radius) / 0.45) / radius
    scene *= (1 - 0.6 * np.clip(1.4 - shadow, 0, 1))[..., None]
    nx, ny = (x - centre[0]) / radius, (y - centre[1]) / radius
    inside = nx**2 + ny**2 < 1
    nz = np.sqrt(np.clip(1 - nx**2 - ny**2, 0, 1))
    shade = np.clip(nx * light[0] + ny * light[1] + nz * light[2], 0, 1)
    ball = np.array(colorsys.hsv_to_rgb(random.uniform(), 0.8, 0.9)) * (0.15 + 0.85 * shade)[..., None]
    if glossy:
        ball += 0.9 * (np.clip(2 * shade * nz - light[2], 0, 1) ** 20)[..., None]
    scene[inside] = ball[inside]
    noise = random.normal(0, 0.01, scene.shape)
    return Image.fromarray((np.clip(scene + noise, 0, 1) * 255).astype(np.uint8))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("-n", "--count", type=int, default=2000)
parser.add_argument("-o", "--output", type=Path, default=Path("photos"))
arguments = parser.parse_args()

random = np.random.default_rng(0)
for i in range(arguments.count):
    folder = arguments.output / ("glossy" if i % 2 else "matte")
    folder.mkdir(parents=True, exist_ok=True)
    photograph(random, bool(i % 2)).save(folder / f"{i:05d}.jpg", quality=92)
print(arguments.output)
