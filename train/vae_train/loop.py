"""The training loop: epochs of shuffled batches and checkpoints, the same bytes however it is interrupted.

The order of an epoch depends on the seed and the epoch alone; the noise comes from one generator whose state a
checkpoint keeps.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vae_runtime.errors import VAEError
from vae_train import checkpoint
from vae_train.batches import batches, epoch_order, shifted
from vae_train.config import TrainConfig
from vae_train.data import Dataset
from vae_train.distributed import World
from vae_train.evaluation import encode, evaluate_elbo, evaluate_losses
from vae_train.model import VAE, build_vae
from vae_train.objective import Losses
from vae_train.optim import build_optimizer, learning_rate, set_rate
from vae_train.statistics import label_statistics

ALONE = World()
INTERIM_IMAGES = 5000  # for the label statistics of an epoch that isn't the last
EXPLODED = 1e5  # nats per image and 784 pixels: a uniform guess costs 543
EXPLODED_STEPS = 20  # in a row: the book's recipe begins with single spikes of a million nats


@dataclass
class Position:
    """Where a run stands: whole epochs done, steps done of the next one, and that epoch's sums so far."""

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])


class Trainer:
    """One run: model, optimiser, random state, position and history, all of which a checkpoint holds."""

    def __init__(self, config: TrainConfig, data: Dataset, device: str = "cpu", world: World = ALONE) -> None:
        self.config, self.data, self.device, self.world = config, data, torch.device(device), world
        model = build_vae(config.image_shape, config.latent_dim, config.seed, config.networks, config.likelihood)
        # Convolutions on the CPU are a fifth faster with channels last, and compute the same function.
        self.model = channels_last(model.to(self.device))
        self.losses = Losses(self.model, config.sampling, config.amp)
        compiled = torch.compile(self.losses) if config.compile else self.losses
        self.step_losses = world.wrap(compiled, self.device)
        self.optimizer = build_optimizer(self.model, config)
        self.noise = torch.Generator().manual_seed(config.seed)
        self.position = Position()
        self.history: list[dict[str, float]] = []
        self.training: dict[str, Any] = {}
        self.exploding = 0

    @property
    def finished(self) -> bool:
        return self.position.epoch >= self.config.epochs

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.data.train.images) / self.config.batch_size)

    def run_epoch(self, interrupted: Callable[[], bool]) -> bool:
        """Train to the end of the current epoch; False when `interrupted` became true before it."""
        order = epoch_order(len(self.data.train.images), self.config.seed, self.position.epoch)
        position, total_steps = self.position, self.config.epochs * self.steps_per_epoch
        bar = tqdm(
            total=self.steps_per_epoch,
            initial=position.step,
            desc=f"epoch {position.epoch + 1}/{self.config.epochs}",
            disable=not (sys.stderr.isatty() and self.world.is_main),
            leave=False,
        )
        parts = batches(
            self.data.train.images, order, self.config.batch_size, position.step, self.world, self.device.type == "cuda"
        )
        with bar, closing(parts):
            for count, images in parts:
                step = position.epoch * self.steps_per_epoch + position.step
                rate = learning_rate(self.config, step, total_steps)
                *sums, stop = self.world.sum([*self._step(images, count, rate), interrupted()], self.device)
                self._refuse_divergence(sums, count, step, rate)
                position.sums = [a + b for a, b in zip(position.sums, sums, strict=True)]
                position.step += 1
                if position.step % 50 == 0:
                    done = position.step * self.config.batch_size
                    bar.set_postfix_str(f"{sum(position.sums) / done:.1f} nats")
                bar.update()
                if stop and position.step < self.steps_per_epoch:
                    return False
        self._close_epoch()
        return True

    def _step(self, part: Tensor, count: int, rate: float) -> list[float]:
        """One step on a batch of `count` images of which `part` are this process's; their summed losses."""
        mine = self.world.share(count)
        images = part.to(self.device, non_blocking=True).float() / 255
        if self.config.shift:
            reach = self.config.shift
            images = shifted(images, torch.randint(-reach, reach + 1, (count, 2), generator=self.noise)[mine])
        # Drawn for the whole batch, so that the noise doesn't depend on the number of processes.
        epsilon = torch.randn((count, self.config.latent_dim), generator=self.noise)[mine].to(self.device)
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        reconstruction, kl = self.step_losses(images, epsilon, self._encoder_noise(images, count, mine))
        # The processes' gradients are averaged, hence the factor.
        loss = (reconstruction.sum() + self._kl_weight() * kl.sum()) * (self.world.size / count)
        # The book's loss is the mean over pixels: RMSprop's ε makes it matter, Adam hardly notices.
        scale = 1 / images.shape[1:].numel() if self.config.optimizer == "rmsprop" else 1.0
        (loss * scale).backward()
        self.optimizer.step()
        return [reconstruction.sum().item(), kl.sum().item()]

    def _encoder_noise(self, images: Tensor, count: int, mine: slice) -> Tensor | None:
        """What is added to the images (n, C, H, W) that the encoder sees; drawn for the whole batch like epsilon."""
        if not self.config.encoder_noise:
            return None
        noise = torch.randn((count, *images.shape[1:]), generator=self.noise)[mine].to(self.device)
        return noise * self.config.encoder_noise

    def _kl_weight(self) -> float:
        return self.config.kl_weight

    def _refuse_divergence(self, sums: list[float], count: int, step: int, rate: float) -> None:
        loss = sum(sums) / count
        large = not abs(loss) < EXPLODED * self.data.train.images[0].size / 784
        self.exploding = self.exploding + 1 if large else 0
        if not math.isfinite(loss) or self.exploding == EXPLODED_STEPS:
            raise VAEError(
                f"the loss is {loss:g} nats per image at step {step} with the learning rate {rate:g}: "
                "training diverged; the last checkpoint is kept"
            )

    def _close_epoch(self) -> None:
        reconstruction, kl = (value / len(self.data.train.images) for value in self.position.sums)
        test_reconstruction, test_kl, test_elbo = evaluate_losses(self.losses, self.data.test.images, self.world)
        self.position = Position(self.position.epoch + 1)
        self.history.append(
            {
                "epoch": self.position.epoch,
                "train_reconstruction": reconstruction,
                "train_kl": kl,
                "test_reconstruction": test_reconstruction,
                "test_kl": test_kl,
                "test_elbo": test_elbo,
            }
        )

    def save(self, path: Path) -> None:
        """Write the run's whole state to `path`, ready for `resume` and for the exporter."""
        if not self.world.is_main:
            return
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):  # the last step's loss came before it
            raise VAEError(
                f"weights are no longer finite after step {self.position.step} of epoch {self.position.epoch + 1}: "
                "training diverged; the last checkpoint is kept"
            )
        self.training = self._describe()
        checkpoint.save_contents(
            path,
            {
                "config": self.config.to_dict(),
                "data": self.data.fingerprint,
                "weights": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "noise": self.noise.get_state(),
                "position": vars(self.position),
                "history": self.history,
                "label_statistics": self._label_statistics(),
                "label_names": list(self.data.label_names),
                "images": self._embedded_images(),
                "training": self.training,
            },
        )

    def resume(self, path: Path) -> None:
        """Continue the run in `path`. Raises VAEError saying what differs when it is another run's."""
        contents = checkpoint.load_contents(path)
        try:
            saved = TrainConfig.from_dict(contents["config"]).to_dict()  # settings newer than it have their default
            different = {k: (saved[k], v) for k, v in self.config.to_dict().items() if saved[k] != v}
            if different:
                listed = ", ".join(f"{key} {old!r}, now {new!r}" for key, (old, new) in different.items())
                raise VAEError(f"{path}: --resume needs the run's own settings; it was begun with {listed}")
            if contents["data"] != self.data.fingerprint:
                raise VAEError(f"{path}: --resume needs the run's own data set; these images are others")
            self.model.load_state_dict(contents["weights"])
            self.optimizer.load_state_dict(contents["optimizer"])
            self.noise.set_state(contents["noise"])
            self.position = Position(**contents["position"])
            self.history, self.training = contents["history"], contents["training"]
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise VAEError(f"{path}: a damaged checkpoint: {str(error).splitlines()[0]}") from None

    def _label_statistics(self) -> dict[str, Any]:
        if not self.data.label_names:
            return {}
        train = self.data.train if self.finished else self.data.train.first(INTERIM_IMAGES)
        z_mean, log_var = encode(self.model, self.config.sampling, train.images)
        return label_statistics(z_mean, log_var, train.labels, self.data.label_names)

    def _embedded_images(self) -> dict[str, Tensor]:
        n = checkpoint.embedded_count(self.config.image_shape)
        images = {}
        for name, split in (("train", self.data.train.first(n)), ("heldout", self.data.test.first(n))):
            images[f"{name}_images"] = torch.from_numpy(split.images.copy())
            images[f"{name}_labels"] = torch.from_numpy(split.labels.astype("int64"))
        return images

    def _describe(self) -> dict[str, Any]:
        training: dict[str, Any] = {"preset": self.config.preset, "epochs": self.position.epoch}
        if self.finished:
            elbo = evaluate_elbo(self.model, self.config.sampling, self.data.test.images).mean
            held_out = "validation_elbo" if self.config.validation else "test_elbo"
            training |= {held_out: elbo, "train_images": len(self.data.train.images)}
        return training


def channels_last(model: VAE) -> VAE:
    """The model with its convolutions' weights in the channels-last layout; one channel has no layout to speak of."""
    for parameter in model.parameters():
        if parameter.ndim == 4 and min(parameter.shape[:2]) > 1:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def train(
    trainer: Trainer,
    path: Path,
    interrupted: Callable[[], bool],
    report: Callable[[dict[str, float], float], None],
) -> bool:
    """Run `trainer` to its end, saving to `path` after each epoch; False when interrupted (saved as well).

    `report` gets each epoch's row of history and its seconds.
    """
    while not trainer.finished:
        # One process may have been told while it saved: all of them stop, or none.
        if trainer.world.sum([interrupted()], trainer.device)[0]:
            trainer.save(path)
            return False
        began = time.perf_counter()
        completed = trainer.run_epoch(interrupted)
        trainer.save(path)
        if not completed:
            return False
        report(trainer.history[-1], time.perf_counter() - began)
    return True
