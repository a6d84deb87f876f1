"""Section 8.4 of "Deep Learning with R", block by block, on the embedded model: takes seconds.

Usage: python examples/book_chapter.py [--epochs N [--data mnist|FOLDER] [--limit N]] [-o FOLDER]

With --epochs the book's own VAE is trained first (the book takes 10 epochs, a quarter of an hour
on two cores) and used in place of the embedded model. That needs the extra `[export]`; everything
else is done by the runtime, without torch.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vae_runtime
from vae_runtime.charts import line_chart, save_gif, scatter
from vae_runtime.formats import save_png, sheet
from vae_runtime.formats.idx import read_idx

# 300 images of MNIST's test set, which no model was trained on.
IMAGES = Path(__file__).parents[1] / "tests" / "data" / "mnist"
# The book's KL loss is this times a mean over latent dimensions.
BOOK_KL_WEIGHT = 5e-4
# As in Keras, whose logarithms never see 0 or 1.
MIN_PROBABILITY = 1e-7
DRAWS = 9
GRID_SIDE = 15
PATH_STEPS = 12
# How far a strip goes along a concept, in lengths of the concept.
CONCEPT_REACH = 1.2
# The plane that losses are drawn on reaches over [-3, 3] in both latents, with this many points.
PLANE_SIDE = 61
PLANE_REACH = 3.0
# Nats above the least reconstruction loss, and above the least KL loss, that are drawn black.
RECONSTRUCTION_RANGE = 150.0
KL_RANGE = 9.0
SCALE = 3
GAP = 2

Array = NDArray[np.floating]
History = Sequence[dict[str, float]]


@dataclass(frozen=True)
class Chapter:
    """The model, images it wasn't trained on (N, 28, 28) with their labels (N,), and a folder."""

    vae: vae_runtime.VAE
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    output: Path

    def first(self, digit: int, skip: int = 0) -> NDArray[np.uint8]:
        """An image (1, 28, 28) of `digit`, the first one after `skip` others."""
        (places,) = np.nonzero(self.labels == digit)
        place = places[skip]
        return self.images[place : place + 1]

    def draw(self, images: Array, name: str, columns: int) -> None:
        """Write a sheet of images (N, 1, H, W), and say so."""
        save_png(sheet(images, columns, scale=SCALE, gap=GAP), self.output / name)
        print(f"  {self.output / name}")


def main() -> None:
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    bundle = None
    if arguments.epochs is not None:
        bundle = train_the_books_model(
            arguments.data, arguments.limit, arguments.epochs, arguments.output
        )
    images = read_idx(IMAGES / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(IMAGES / "t10k-labels-idx1-ubyte.gz")
    with vae_runtime.load(bundle) as vae:
        chapter = Chapter(vae, images, labels, arguments.output)
        encode_to_a_distribution(chapter)
        sample_and_decode(chapter)
        compare_sampling_formulas(chapter)
        compute_both_losses(chapter)
        draw_the_losses(chapter)
        draw_the_grid(chapter)
        morph_one_digit_into_another(chapter)
        move_along_concepts(chapter)
        draw_the_latents(chapter)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, help="train the book's VAE first")
    parser.add_argument("--data", default="mnist", help="to train on")
    parser.add_argument("--limit", type=int, help="train on the first N images only")
    parser.add_argument("-o", "--output", type=Path, default=Path("book"))
    return parser.parse_args()


def train_the_books_model(data_name: str, limit: int | None, epochs: int, output: Path) -> Path:
    """Listings 8.23 to 8.27: the book's networks, losses and optimizer. Gives the bundle."""
    from vae_export import export_checkpoint
    from vae_train.config import PRESETS
    from vae_train.data import load_dataset
    from vae_train.loop import Trainer, train

    config = replace(PRESETS["book"], epochs=epochs)
    trainer = Trainer(config, load_dataset(data_name, limit))
    checkpoint = output / "model.pt"
    train(trainer, checkpoint, never_interrupted, print_losses)
    if epochs > 1:
        draw_the_loss_curve(trainer.history, output / "losses.png")
    print(f"true test ELBO {trainer.summary['test_elbo']:.2f} nats per image")
    bundle, _ = export_checkpoint(checkpoint, force=True)
    return Path(bundle)


def never_interrupted() -> bool:
    return False


def print_losses(row: dict[str, float], seconds: float) -> None:
    """Both losses in nats per image, and what Keras prints in the book."""
    print(
        f"epoch {row['epoch']:2}  "
        f"reconstruction {row['train_reconstruction']:.2f}  KL {row['train_kl']:.2f}  "
        f"on test images {row['test_reconstruction']:.2f} and {row['test_kl']:.2f}  "
        f"Keras: loss {keras_loss(row, 'train'):.4f}  val_loss {keras_loss(row, 'test'):.4f}  "
        f"({seconds:.0f} s)",
        flush=True,
    )


def keras_loss(row: dict[str, float], split: str) -> float:
    """The loss of the book's program from both losses in nats; see `compute_both_losses`."""
    beta = 784 * BOOK_KL_WEIGHT * 2 / 2
    return (row[f"{split}_reconstruction"] + beta * row[f"{split}_kl"]) / 784


def draw_the_loss_curve(history: History, path: Path) -> None:
    """The picture that `fit` draws in the book: Keras's loss after each epoch."""
    curves = {
        "loss": [keras_loss(row, "train") for row in history],
        "val_loss": [keras_loss(row, "test") for row in history],
    }
    save_png(line_chart(curves, title="Loss", x_label="epoch", y_label="Keras's loss"), path)
    print(f"  {path}")


def encode_to_a_distribution(chapter: Chapter) -> None:
    """The encoder turns an image into the mean and the log variance of a normal distribution."""
    z_mean, z_log_var = chapter.vae.encode(chapter.first(4))
    deviation = np.exp(z_log_var / 2)
    print("1. An image becomes a distribution: a four")
    for axis in range(chapter.vae.latent_dim):
        print(f"  z[{axis}] ~ N({z_mean[0, axis]:.3f}, {deviation[0, axis]:.3f}²)")


def sample_and_decode(chapter: Chapter) -> None:
    """Draws z from that distribution; each one is decoded to an image like the encoded one."""
    four = chapter.first(4)
    z_mean, z_log_var = chapter.vae.encode(four)
    epsilon = np.random.default_rng(0).standard_normal((DRAWS, chapter.vae.latent_dim))
    z = z_mean + np.exp(z_log_var / 2) * epsilon
    decoded = chapter.vae.decode(z)
    print(f"2. z is drawn {DRAWS} times and decoded; the four itself comes first")
    chapter.draw(np.concatenate([as_images(four), decoded]), "samples.png", 1 + DRAWS)


def compare_sampling_formulas(chapter: Chapter) -> None:
    """Why exp(z_log_var) * epsilon, as the book prints it, isn't exp(z_log_var / 2) * epsilon.

    The exponential of a log variance is a variance; epsilon must be multiplied by a standard
    deviation, which is its root. The book multiplies by the variance. Its network can still learn:
    the decoder only sees draws, and the encoder learns to put out whatever makes them good. But
    then the KL loss, which takes the same output for a log variance, measures another distribution
    than the one that is sampled, so the book's loss is no bound on log p(x). The preset `book`
    keeps the book's formula, and its bundle holds the log variance that is really sampled.
    """
    _, z_log_var = chapter.vae.encode(chapter.first(4))
    epsilon = np.random.default_rng(0).standard_normal((100_000, chapter.vae.latent_dim))
    ours = (np.exp(z_log_var / 2) * epsilon).std(0)
    printed = (np.exp(z_log_var) * epsilon).std(0)
    print("3. The spread of z, if z_log_var is the log of the variance")
    print(f"  exp(z_log_var / 2) * epsilon  {ours[0]:.4f}, {ours[1]:.4f}  as it should be")
    print(f"  exp(z_log_var) * epsilon      {printed[0]:.4f}, {printed[1]:.4f}  as in the book")


def compute_both_losses(chapter: Chapter) -> None:
    """Both losses in nats per image, as everywhere in this project, and as Keras has them.

    Ours are the terms of the ELBO: the cross-entropy summed over 784 pixels, and the KL divergence
    summed over D latents, -0.5 * sum(1 + log_var - mean^2 - exp(log_var)). The book takes the mean
    over pixels, which is ours / 784, and -5e-4 * mean(1 + log_var - mean^2 - exp(log_var)), which
    is ours * 5e-4 * 2 / D. So 784 times the book's loss is reconstruction + beta * KL, with
    beta = 784 * 5e-4 * 2 / D, and that is 0.392 for two latents.
    """
    vae = chapter.vae
    images = as_images(chapter.images)
    z_mean, z_log_var = vae.encode(images)
    epsilon = np.random.default_rng(0).standard_normal(z_mean.shape)
    z = z_mean + np.exp(z_log_var / 2) * epsilon
    cross_entropy = pixel_cross_entropy(images, vae.decode(z))
    # What the book's network puts out is half of the log variance that it samples.
    is_books = vae.bundle.training.get("preset") == "book"
    output = z_log_var / 2 if is_books else z_log_var
    kl_terms = 1 + output - z_mean**2 - np.exp(output)

    reconstruction = cross_entropy.sum((1, 2, 3)).mean()
    kl = (-0.5 * kl_terms.sum(1)).mean()
    beta = 784 * BOOK_KL_WEIGHT * 2 / vae.latent_dim
    by_keras = cross_entropy.mean((1, 2, 3)) - BOOK_KL_WEIGHT * kl_terms.mean(1)
    print(f"4. Both losses of {len(images)} test images")
    print(f"  reconstruction {reconstruction:.2f}  KL {kl:.2f}  nats per image")
    print(f"  Keras's loss {by_keras.mean():.4f}  computed as in the book")
    print(
        f"  Keras's loss {(reconstruction + beta * kl) / 784:.4f}  "
        f"= ({reconstruction:.2f} + {beta:.3f} * {kl:.2f}) / 784"
    )


def draw_the_losses(chapter: Chapter) -> None:
    """What each loss would be if the encoder put the four's mean there: the lighter, the better.

    The reconstruction loss wants the one place where this four is, the KL loss the middle; training
    goes downhill on their sum. A step away from the four costs far more than one from the middle.
    """
    four = as_images(chapter.first(4))
    z = plane()
    reconstruction = pixel_cross_entropy(four, chapter.vae.decode(z)).sum((1, 2, 3))
    kl = 0.5 * (z**2).sum(1)
    panels = np.stack([panel(reconstruction, RECONSTRUCTION_RANGE), panel(kl, KL_RANGE)])
    print("5. Both losses over the plane, from -3 to 3: reconstruction, KL")
    chapter.draw(panels, "loss_plane.png", len(panels))


def panel(losses: Array, black: float) -> Array:
    """Losses over the plane as an image (1, H, W), white at the least one, black `black` above."""
    darkness: Array = np.clip((losses - losses.min()) / black, 0, 1)
    return (1 - darkness).reshape(1, PLANE_SIDE, PLANE_SIDE)


def draw_the_grid(chapter: Chapter) -> None:
    """Listing 8.28: rows walk z[1], columns z[0], both through the normal distribution's quantiles.

    As in the book's loops the first row has the smallest z[1], so z[1] grows downwards here.
    """
    digits = chapter.vae.grid(GRID_SIDE)
    path = chapter.output / "grid.png"
    save_png(sheet(digits.reshape(-1, *chapter.vae.image_shape), GRID_SIDE), path)
    print(f"6. The plane, {GRID_SIDE} by {GRID_SIDE} digits\n  {path}")


def morph_one_digit_into_another(chapter: Chapter) -> None:
    """A straight line in latent space: every place on the way is a digit, or between two."""
    z_mean, _ = chapter.vae.encode(np.concatenate([chapter.first(0), chapter.first(7)]))
    frames = chapter.vae.interpolate(z_mean[0], z_mean[1], PATH_STEPS)
    print("7. From a zero to a seven")
    chapter.draw(frames, "path.png", PATH_STEPS)
    there_and_back = np.concatenate([frames, frames[-2:0:-1]])
    save_gif(there_and_back, chapter.output / "path.gif", scale=SCALE)
    print(f"  {chapter.output / 'path.gif'}")


def move_along_concepts(chapter: Chapter) -> None:
    """Concept vectors (section 8.4.1): directions that turn one kind of image into another.

    Four-ness points from the mean of all digits to the mean of the fours; the other two from one
    digit's mean to another's.
    """
    vae = chapter.vae
    known = set(vae.labels)
    if not {"1", "3", "4", "7", "8"} <= known:
        print("8. No concepts: the model has seen too few digits")
        return
    strips = [
        strip(chapter, chapter.first(9), vae.concept("4")),
        strip(chapter, chapter.first(3, skip=1), vae.concept("8", "3")),
        strip(chapter, chapter.first(1, skip=2), vae.concept("7", "1")),
    ]
    print("8. Along three concepts: a nine with more and more four-ness, 3 → 8, 1 → 7")
    chapter.draw(np.concatenate(strips), "concepts.png", 1 + PATH_STEPS)


def strip(chapter: Chapter, image: NDArray[np.uint8], concept: Array) -> Array:
    """The image and what becomes of it along a concept, (1 + PATH_STEPS, 1, 28, 28)."""
    z_mean, _ = chapter.vae.encode(image)
    strengths = np.linspace(0, CONCEPT_REACH, PATH_STEPS)[:, None]
    moved = chapter.vae.decode(z_mean + strengths * concept)
    return np.concatenate([as_images(image), moved])


def draw_the_latents(chapter: Chapter) -> None:
    """Where the test images lie, colored by their digit. The model has never seen a label."""
    z_mean, _ = chapter.vae.encode(chapter.images)
    path = chapter.output / "latents.png"
    save_png(scatter(z_mean, chapter.labels), path)
    print(f"9. Where the digits lie; here z[1] grows upwards\n  {path}")


def as_images(images: NDArray[np.uint8]) -> Array:
    """(N, 28, 28) in 0 … 255 -> (N, 1, 28, 28) in [0, 1]."""
    return images[:, None].astype(np.float32) / np.float32(255)


def pixel_cross_entropy(images: Array, decoded: Array) -> Array:
    """The binary cross-entropy of each pixel in nats, (N, 1, 28, 28), as Keras computes it."""
    p = np.clip(decoded.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return -(images * np.log(p) + (1 - images) * np.log(1 - p))


def plane() -> Array:
    """The latents of a square, (PLANE_SIDE², 2), row by row, z[1] growing upwards."""
    points = np.linspace(-PLANE_REACH, PLANE_REACH, PLANE_SIDE)
    across, up = np.meshgrid(points, points[::-1])
    return np.stack([across.ravel(), up.ravel()], axis=1)


if __name__ == "__main__":
    try:
        main()
    except vae_runtime.VAEError as error:
        sys.exit(f"Error: {error}")
