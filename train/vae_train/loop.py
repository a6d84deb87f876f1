"""The training loop: the same bytes however often it is interrupted.

The order of an epoch depends on the seed and the epoch alone; every other random number comes from
one generator whose state a checkpoint keeps.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_runtime.errors import VAEError
from vae_runtime.formats.files import atomic_file, make_folder
from vae_train import checkpoint
from vae_train.augmentation import shifted
from vae_train.batches import BatchDraws, batches, epoch_order
from vae_train.checkpoint import Position, RunState
from vae_train.config import TrainConfig
from vae_train.cpu_convolutions import channels_last
from vae_train.data import Dataset
from vae_train.distributed import SINGLE_PROCESS, ProcessGroup
from vae_train.evaluation import evaluate_losses
from vae_train.model import build_vae
from vae_train.objective import Losses
from vae_train.optim import Optimizer, build_optimizer, loss_scale, set_rate
from vae_train.phases import Phase, StepLosses, exact_phases
from vae_train.progress import EpochProgress
from vae_train.summary import embedded_images, heldout_name, latent_statistics, training_summary

# Training has diverged when this many batches in a row lose more nats per image of 28×28 pixels. A
# uniform guess costs 543; the book's recipe begins with single spikes of a million nats.
DIVERGENCE_NATS = 1e5
DIVERGENCE_STEPS = 20
MNIST_PIXELS = 28 * 28
BEST_FILE = "best.pt"


class Trainer:
    """One run: model, optimizer, random state, position and history. A checkpoint holds it all.

    Its epochs belong to phases, each with an optimizer of its own. A subclass may change how a
    batch is trained on: `kl_weight` and `step` are made for it. Raises ValueError when the
    configuration is made for images of another shape, and VAEError for phases on the exact
    posterior in many processes.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Dataset,
        device: str = "cpu",
        processes: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        if config.image_shape != data.image_shape:
            raise ValueError(
                f"the configuration's image_shape is {config.image_shape}, "
                f"the images' {data.image_shape}"
            )
        if config.has_exact_phases and processes.size > 1:
            raise VAEError(
                f"the exact posterior is learned from in one process, not in {processes.size}: "
                "start vae-train without torchrun"
            )
        self.config = config
        self.data = data
        self.device = torch.device(device)
        self.processes = processes
        self.model = build_vae(
            config.image_shape, config.latent_dim, config.seed, config.networks, config.likelihood
        ).to(self.device)
        channels_last(self.model)
        self.losses = Losses(self.model, config.sampling, config.amp)
        compiled = torch.compile(self.losses) if config.compile else self.losses
        self.step_losses = processes.data_parallel(compiled, self.device)
        joint = Phase("joint", config, 0, config.epochs, self.model, self._joint_losses)
        self.phases = [joint, *exact_phases(config, self.model)]
        self.optimizer = self._new_optimizer(joint)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.position = Position()
        self.history: list[dict[str, float]] = []
        self.summary: dict[str, Any] = {}
        self._large_losses_in_a_row = 0

    @property
    def finished(self) -> bool:
        return self.position.epoch >= self.config.total_epochs

    @property
    def phase(self) -> Phase:
        """That of the epoch that is under way or comes next, the last one of a finished run."""
        return self._phase_of(self.position.epoch)

    @property
    def has_final_figures(self) -> bool:
        """Whether `summary` is that of a finished run."""
        return f"{heldout_name(self.config)}_elbo" in self.summary

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.data.train.images) / self.config.batch_size)

    def kl_weight(self) -> float:
        """β of the next step. Override it for a weight that changes during the run."""
        return self.config.kl_weight

    def step(self, part: Tensor, count: int, rate: float) -> list[float]:
        """Take one step on a batch of `count` images; returns this process's summed losses in nats.

        `part` (n, C, H, W) uint8 is this process's share of the batch, `rate` the learning rate;
        the result is reconstruction and KL. Override it to do something before or after each step.
        """
        draws = BatchDraws(self.rng, count, self.processes.share(count), self.device)
        images = part.to(self.device, non_blocking=True).float() / 255
        if self.config.shift:
            images = shifted(images, draws.offsets(self.config.shift))
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        losses = self.phase.losses(images, draws)
        # The processes' gradients are averaged, hence the factor.
        loss = losses.minimized * (self.processes.size / count)
        torch.autograd.backward(loss * loss_scale(self.config))
        self.optimizer.step()
        return [losses.reconstruction.sum().item(), losses.kl.sum().item()]

    def run_epoch(self, interrupted: Callable[[], bool]) -> bool:
        """Train to the end of the current epoch; False when `interrupted` became true before it."""
        position = self.position
        self.phase.prepare()
        order = epoch_order(len(self.data.train.images), self.config.seed, position.epoch)
        parts = batches(
            self.data.train.images,
            order,
            self.config.batch_size,
            first=position.step,
            processes=self.processes,
            pin=self.device.type == "cuda",
        )
        with self._progress() as progress, closing(parts):
            for count, part in parts:
                stop = self._train_on(part, count, interrupted)
                progress.update(position.step, self._mean_loss())
                if stop and position.step < self.steps_per_epoch:
                    return False
        self._close_epoch()
        return True

    def save(self, path: Path) -> None:
        """Write the run's whole state to `path`, ready for `resume` and for the exporter.

        Raises VAEError, and leaves `path` as it is, when the weights are no longer finite.
        """
        if not self.processes.is_main:
            return
        self._require_finite_weights()
        epoch = self.position.epoch
        table = self.phase.table
        self.summary = training_summary(self.config, self.model, self.data, epoch)
        latents = latent_statistics(self.config, self.model, self.data, epoch)
        state = RunState(
            config=self.config,
            fingerprint=self.data.fingerprint,
            source=self.data.source,
            weights=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            rng=self.rng.get_state(),
            position=self.position,
            history=self.history,
            table=None if table is None else table.state_dict(),
            density=latents.density,
            label_statistics=latents.labels,
            label_names=self.data.label_names,
            images=embedded_images(self.data),
            summary=self.summary,
        )
        checkpoint.save_contents(path, state.to_contents())

    def resume(self, path: Path) -> None:
        """Continue the run in `path`.

        Its number of epochs may be another one than before where it has the joint phase only.
        Raises VAEError saying what differs when it is another run's.
        """
        state = checkpoint.load_state(path)
        self._require_same_run(state, path)
        phase = self._phase_of(state.position.epoch)
        self.optimizer = self._new_optimizer(phase)
        try:
            self.model.load_state_dict(state.weights)
            self.optimizer.load_state_dict(state.optimizer)
            self.rng.set_state(state.rng)
            if phase.table is not None and state.table is not None:
                phase.table.load_state_dict(state.table)
        except checkpoint.DAMAGED_CONTENTS as error:
            reason = checkpoint.first_line(error)
            raise VAEError(f"{path}: a damaged checkpoint: {reason}") from None
        self.position = state.position
        self.history = state.history
        self.summary = state.summary

    def _train_on(self, part: Tensor, count: int, interrupted: Callable[[], bool]) -> bool:
        """Take one step and add up its losses; whether some process was interrupted meanwhile."""
        position = self.position
        step = position.epoch * self.steps_per_epoch + position.step
        rate = self.phase.rate(position.epoch, position.step, self.steps_per_epoch)
        losses = self.step(part, count, rate)
        totals = self.processes.sum([*losses, interrupted()], self.device)
        reconstruction, kl, stop = totals
        self._refuse_divergence((reconstruction + kl) / count, step, rate)
        position.sums[0] += reconstruction
        position.sums[1] += kl
        position.step += 1
        return bool(stop)

    def _joint_losses(self, images: Tensor, draws: BatchDraws) -> StepLosses:
        """Those of the joint phase: both networks learn from the ELBO."""
        epsilon = draws.normal(self.config.latent_dim)
        encoder_noise = None
        if self.config.encoder_noise:
            encoder_noise = draws.normal(*images.shape[1:]) * self.config.encoder_noise
        reconstruction, kl = self.step_losses(images, epsilon, encoder_noise)
        minimized = reconstruction.sum() + self.kl_weight() * kl.sum()
        return StepLosses(minimized, reconstruction, kl)

    def _phase_of(self, epoch: int) -> Phase:
        found = self.phases[0]
        for phase in self.phases:
            if phase.first_epoch <= epoch:
                found = phase
        return found

    def _new_optimizer(self, phase: Phase) -> Optimizer:
        return build_optimizer(phase.trained, phase.config)

    def _progress(self) -> EpochProgress:
        return EpochProgress(
            f"epoch {self.position.epoch + 1}/{self.config.total_epochs}",
            first=self.position.step,
            steps=self.steps_per_epoch,
            is_shown=self.processes.is_main,
        )

    def _mean_loss(self) -> float:
        """Of the epoch's steps so far, in nats per image."""
        return sum(self.position.sums) / (self.position.step * self.config.batch_size)

    def _refuse_divergence(self, loss: float, step: int, rate: float) -> None:
        limit = DIVERGENCE_NATS * self.data.train.images[0].size / MNIST_PIXELS
        # NaN compares false, so it is no small loss either.
        is_small = abs(loss) < limit
        self._large_losses_in_a_row = 0 if is_small else self._large_losses_in_a_row + 1
        if not math.isfinite(loss) or self._large_losses_in_a_row == DIVERGENCE_STEPS:
            raise VAEError(
                f"the loss is {loss:g} nats per image at step {step} with the learning rate "
                f"{rate:g}: training diverged; the last checkpoint is kept"
            )

    def _require_finite_weights(self) -> None:
        """The last step may have spoiled the weights, and its loss was computed before it."""
        for parameter in self.model.parameters():
            if not parameter.isfinite().all():
                position = self.position
                raise VAEError(
                    f"weights are no longer finite after step {position.step} of epoch "
                    f"{position.epoch + 1}: training diverged; the last checkpoint is kept"
                )

    def _require_same_run(self, state: RunState, path: Path) -> None:
        done = state.position.epoch
        total = self.config.total_epochs
        if total < done:
            raise VAEError(f"{path}: {total} epochs are fewer than the {done} done")
        # Settings that are newer than the checkpoint have their default in it.
        saved = state.config.to_dict()
        if not self.config.has_exact_phases:
            saved["epochs"] = self.config.epochs
        differences = []
        for name, value in self.config.to_dict().items():
            if saved[name] != value:
                differences.append(f"{name} {saved[name]!r}, now {value!r}")
        if differences:
            raise VAEError(
                f"{path}: --resume needs the run's own settings; it was begun with "
                f"{', '.join(differences)}"
            )
        if state.fingerprint != self.data.fingerprint:
            raise VAEError(
                f"{path}: --resume needs the run's own data set; these images are others"
            )

    def _close_epoch(self) -> None:
        phase = self.phase
        reconstruction, kl = self.position.sums
        images = len(self.data.train.images)
        test = evaluate_losses(self.losses, self.data.test.images, self.processes)
        self.position = Position(self.position.epoch + 1)
        row = {
            "epoch": self.position.epoch,
            "train_reconstruction": reconstruction / images,
            "train_kl": kl / images,
            "test_reconstruction": test.reconstruction,
            "test_kl": test.kl,
            "test_elbo": test.elbo,
        }
        self.history.append(row)
        if self.phase is not phase:
            self.optimizer = self._new_optimizer(self.phase)


def never() -> bool:
    """The answer of somebody who doesn't interrupt."""
    return False


def ignore(row: dict[str, float], seconds: float) -> None:
    """The callback of somebody who doesn't follow the run."""


def best_row(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The row of the epoch with the highest ELBO of held-out images, the first of equal ones."""
    return max(history, key=lambda row: row["test_elbo"])


def train(
    trainer: Trainer,
    path: str | Path,
    interrupted: Callable[[], bool] = never,
    on_epoch: Callable[[dict[str, float], float], None] = ignore,
) -> bool:
    """Run `trainer` to its end, saving to `path` after each epoch; its folder is made.

    The epoch with the highest ELBO of held-out images is kept beside it, as best.pt.
    False when `interrupted`, which is asked after each step, ended it; that is saved as well.
    `on_epoch` is called after each epoch with its row of the history (see COLUMNS in
    vae_train/history.py; losses in nats per image) and its seconds.
    """
    path = Path(path)
    make_folder(path.parent)
    while not trainer.finished:
        # One process may have been told while it saved: all of them stop, or none.
        (stops,) = trainer.processes.sum([interrupted()], trainer.device)
        if stops:
            trainer.save(path)
            return False
        began = time.perf_counter()
        completed = trainer.run_epoch(interrupted)
        if not completed:
            trainer.save(path)
            return False
        _save_epoch(trainer, path)
        on_epoch(trainer.history[-1], time.perf_counter() - began)
    if not trainer.has_final_figures:
        # Resumed with as many epochs as were done.
        trainer.save(path)
    return True


def _save_epoch(trainer: Trainer, path: Path) -> None:
    """Save what an epoch has made, as best.pt too where it is the best one."""
    if best_row(trainer.history) is not trainer.history[-1]:
        trainer.save(path)
        return
    # In this order an end in between leaves no older best.pt beside a newer model.pt.
    best = path.with_name(BEST_FILE)
    trainer.save(best)
    if trainer.processes.is_main:
        with atomic_file(path) as temporary:
            shutil.copyfile(best, temporary)
