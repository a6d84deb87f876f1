"""Commands that take images: encode, reconstruct, interpolate, edit, concepts, plot."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_runtime.cli.inputs import encoded, images_argument, preprocess_options, read_all
from vae_runtime.cli.options import (
    PATH,
    finite,
    force_option,
    load_model,
    model_options,
    output_option,
    pair,
    require_suffix,
)
from vae_runtime.cli.output import announce, write_images, write_picture
from vae_runtime.errors import VAEError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vae_runtime.vae import VAE


@click.command()
@images_argument
@click.option(
    "--output", "-o", type=PATH, default=Path("-"), help="A .npz, .csv, .json or .npy file.  [default: stdout]"
)
@click.option("--format", "kind", type=click.Choice(["csv", "json", "npz", "npy"]), default="csv", help="For stdout.")
@preprocess_options
@model_options
def encode(images: tuple[Path, ...], output: Path, kind: str, **options: Any) -> None:
    """Print or store the latents of images.

    IMAGES are picture files, folders of them, IDX, .npy or .npz.

    Example: vae-run encode photos/ -o latents.csv
    """
    from vae_runtime.latents import latents_bytes, write_latents

    require_suffix(output, ".csv", ".json", ".npz", ".npy")
    latents = encoded(load_model(options), images, options)
    if str(output) == "-":
        sys.stdout.buffer.write(latents_bytes(latents, kind))
        return
    write_latents(latents, output)
    announce(output)


@click.command()
@images_argument
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many in a picture.")
@click.option("--scale", type=click.IntRange(1, 32), default=2, show_default=True, help="Pixels per pixel.")
@output_option("reconstruct.png")
@preprocess_options
@force_option
@model_options
def reconstruct(images: tuple[Path, ...], limit: int, scale: int, output: Path, force: bool, **options: Any) -> None:
    """Draw images beside their reconstructions.

    A .npy or a folder holds the reconstructions alone, in the order of the images.

    Example: vae-run reconstruct digit.png -o pairs.png
    """
    import numpy as np

    vae = load_model(options)
    compared = _is_sheet(output)
    array = read_all(vae, images, options, limit if compared else None)
    result = vae.reconstruct(array)
    if not compared:
        write_images([result], result.shape, output, scale=scale, force=force)
        return
    pairs = np.stack([array, result], 1).reshape(-1, *vae.image_shape)
    columns = 2 * min(10, len(pairs) // 2)
    write_images([pairs], pairs.shape, output, columns=columns, scale=scale)


def _is_sheet(output: Path) -> bool:
    """Whether images are to be compared in one picture; arrays and folders hold results alone."""
    return str(output) == "-" or output.suffix.lower() == ".png"


@click.command()
@images_argument
@click.option("--steps", type=click.IntRange(2, 1000), default=10, show_default=True, help="Images per path.")
@click.option("--mode", type=click.Choice(["linear", "spherical"]), default="linear", show_default=True)
@click.option("--scale", type=click.IntRange(1, 32), default=2, show_default=True, help="Pixels per pixel.")
@click.option("--fps", type=click.IntRange(1, 50), default=12, show_default=True, help="For a .gif.")
@output_option("interpolate.png")
@preprocess_options
@force_option
@model_options
def interpolate(
    images: tuple[Path, ...], steps: int, mode: str, scale: int, fps: int, output: Path, force: bool, **options: Any
) -> None:
    """Morph one image into the next.

    The output is a strip (.png), an animation (.gif), an array (.npy) or a folder of frames. Takes two or more images,
    or one latent file with two or more rows.

    Example: vae-run interpolate four.png nine.png --steps 12 -o path.gif
    """
    import numpy as np

    vae = load_model(options)
    ends = _ends(vae, images, options)
    if len(ends) < 2:
        raise VAEError(f"a path needs two ends; {images[0]} gives {len(ends)}")
    paths = [vae.interpolate(a, b, steps, mode=mode) for a, b in pairwise(ends)]
    frames = np.concatenate(paths)
    if output.suffix.lower() == ".gif":
        from vae_runtime.pictures import save_gif

        save_gif(np.concatenate([frames, frames[-2:0:-1]]), output, scale=scale, fps=fps)
        announce(output)
        return
    write_images([frames], frames.shape, output, columns=steps, scale=scale, force=force)


def _ends(vae: VAE, paths: tuple[Path, ...], options: dict[str, Any]) -> NDArray[np.float32]:
    from vae_runtime.latents import read_latents

    if len(paths) == 1 and _holds_latents(paths[0], vae.latent_dim):
        return read_latents(paths[0], vae.latent_dim)
    return encoded(vae, paths, options).z_mean


def _holds_latents(path: Path, latent_dim: int) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        from vae_runtime.arrays import load_numpy

        return load_numpy(path, "z_mean", mapped=True).shape[1:] == (latent_dim,)
    return suffix in (".csv", ".json", ".npz")


@click.command()
@images_argument
@click.option("--add", help="A label of the bundle.")
@click.option("--remove", help="A label of the bundle.")
@click.option("--concept", type=PATH, help="A concept file that vae-run concepts wrote.")
@click.option("--strength", type=float, callback=finite, default=1.0, show_default=True)
@click.option("--scale", type=click.IntRange(1, 32), default=2, show_default=True, help="Pixels per pixel.")
@output_option("edit.png")
@preprocess_options
@force_option
@model_options
def edit(
    images: tuple[Path, ...],
    add: str | None,
    remove: str | None,
    concept: Path | None,
    strength: float,
    scale: int,
    output: Path,
    force: bool,
    **options: Any,
) -> None:
    """Add or remove a concept, such as "four".

    A picture shows each image beside its reconstruction and its edit; a .npy or a folder holds the edits alone.

    Example: vae-run edit nine.png --add 4 --remove 9 --strength 0.8 -o edited.png
    """
    import numpy as np

    if concept and (add or remove):
        raise click.UsageError("--concept excludes --add and --remove")
    if not (concept or add or remove):
        raise click.UsageError("say what to change with --add, --remove or --concept")
    vae = load_model(options)
    array = read_all(vae, images, options)
    direction = _read_concept(concept, vae) if concept else vae.concept(add, remove)
    z_mean, _ = vae.encode(array)
    edited = vae.decode(z_mean + strength * direction)
    if not _is_sheet(output):
        write_images([edited], edited.shape, output, scale=scale, force=force)
        return
    triples = np.stack([array, vae.decode(z_mean), edited], 1).reshape(-1, *vae.image_shape)
    write_images([triples], triples.shape, output, columns=3, scale=scale)


@click.command()
@click.option("--with", "with_it", type=PATH, help="A folder of images that have the concept.")
@click.option("--without", type=PATH, help="A folder of images that don't.")
@click.option("--output", "-o", type=PATH, default=Path("concept.json"), show_default=True, help="The concept file.")
@preprocess_options
@model_options
def concepts(with_it: Path | None, without: Path | None, output: Path, **options: Any) -> None:
    """List the concepts of a bundle, or learn a new one.

    A new one is learned from two folders of images, and edit --concept uses it.

    Example: vae-run concepts --with smiling/ --without neutral/ -o smile.json
    """
    import json

    vae = load_model(options)
    if with_it is None and without is None:
        if not vae.labels:
            click.echo("this bundle was exported without labels; learn a concept with --with and --without", err=True)
        for name, label in vae.labels.items():
            click.echo(f"{name}\t{label.count} images\tmean {' '.join(f'{v:.3f}' for v in label.mean)}")
        return
    import numpy as np

    if with_it is None or without is None:
        raise click.UsageError("a concept needs both --with and --without")
    from vae_runtime.files import atomic_file

    sides = [encoded(vae, (folder,), dict(options)).z_mean for folder in (with_it, without)]
    direction = sides[0].mean(0, dtype=np.float64) - sides[1].mean(0, dtype=np.float64)
    content = {"concept": direction.tolist(), "with": len(sides[0]), "without": len(sides[1])}
    with atomic_file(output) as temporary:
        temporary.write_text(json.dumps(content) + "\n")
    announce(output)


def _read_concept(path: Path, vae: VAE) -> NDArray[np.float32]:
    import json

    from vae_runtime.latents import check_latents

    if not path.is_file():
        raise VAEError(f"{path}: no such file")
    try:
        direction: NDArray[np.float32]
        (direction,) = check_latents(json.loads(path.read_text("utf-8"))["concept"], vae.latent_dim)
        return direction
    except (ValueError, TypeError, KeyError) as error:
        raise VAEError(f"{path}: not a concept file for this model: {error}") from None


@click.command()
@images_argument
@click.option("--labels", type=PATH, help="An IDX file of labels; else the folder that an image lies in.")
@click.option("--output", "-o", type=PATH, default=Path("plot.png"), show_default=True)
@click.option("--axes", callback=pair(int), default="0,1", show_default=True, help="The two latent dimensions to show.")
@preprocess_options
@model_options
def plot(images: tuple[Path, ...], labels: Path | None, output: Path, axes: tuple[int, int], **options: Any) -> None:
    """Scatter images in latent space, coloured by label.

    The label is that of --labels, else the name of the folder that an image lies in.

    Example: vae-run plot t10k-images-idx3-ubyte --labels t10k-labels-idx1-ubyte -o plot.png
    """
    import numpy as np

    from vae_runtime.idx import read_idx
    from vae_runtime.pictures import scatter

    require_suffix(output, ".png")
    vae = load_model(options)
    if len(set(axes)) != 2 or not all(0 <= axis < vae.latent_dim for axis in axes):
        raise click.UsageError(f"--axes {axes[0]},{axes[1]}: two of the latent dimensions 0 … {vae.latent_dim - 1}")
    latents = encoded(vae, images, options)
    if labels:
        colours = read_idx(labels)
        if colours.shape != (len(latents.names),):
            raise VAEError(f"{labels}: {colours.shape} labels for {len(latents.names)} images")
    else:
        colours = np.array([Path(name).parent.name for name in latents.names])
    write_picture(scatter(latents.z_mean[:, list(axes)], colours, axes=axes), output)


COMMANDS = (encode, reconstruct, interpolate, edit, concepts, plot)
