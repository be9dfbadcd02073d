"""The training loop: phases of epochs of steps, flat."""

import math
import shlex
import time
from contextlib import closing, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from flowvae import registry
from flowvae.data import Data
from flowvae.engine.compiling import can_compile, wanted
from flowvae.engine.ema import Average
from flowvae.engine.folder import Folder, Resume, fingerprint, require_same
from flowvae.engine.freezing import reset, settle
from flowvae.engine.interrupt import Interrupted, Stop, asked_to_stop
from flowvae.engine.journal import Journal
from flowvae.engine.launch import align, reduced, share
from flowvae.engine.nonfinite import TrainingError, diagnose, dump
from flowvae.engine.optim import gradient_norm
from flowvae.engine.options import Phase, Training
from flowvae.engine.progress import Bar
from flowvae.engine.stage import Stage
from flowvae.engine.state import State, load_checkpoint, rng_state, save_checkpoint, set_rng_state
from flowvae.engine.step import MEASURES
from flowvae.engine.stopwatch import Stopwatch
from flowvae.engine.validation import validate
from flowvae.engine.weights import copied, load_weights, save_weights
from flowvae.errors import InputError
from flowvae.model import VAE
from flowvae.nn import starting, unstarted

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VALIDATION_SEED = 0  # one noise for every run, so that their curves can be compared
MOST_SKIPPED = 20
REMEDY = "lower optimiser.lr, set training.clip, or resume with training.on_nonfinite = 'skip'"
NO_COMPILER = "no C++ compiler (g++ or clang++)"


class Loop:
    """One run: `go_through` is the loop itself, the rest what it does at its turning points, in order."""

    def __init__(
        self,
        model: VAE,
        data: Data,
        config: dict[str, Any],
        training: Training,
        fabric: "Fabric",
        folder: Folder | None,
        *,
        resume: Resume,
        quiet: bool,
    ) -> None:
        self.model, self.config, self.training, self.fabric = model, config, training, fabric
        self.train = data.train.to(fabric.device)
        self.validation = data.validation.frozen(VALIDATION_SEED).to(fabric.device)
        self.batch = min(training.batch_size, len(self.train))
        self.steps = len(self.train) // self.batch  # the last, incomplete batch is left out
        if self.batch % fabric.world_size:
            raise InputError(
                f"expected a batch that {fabric.world_size} processes can share equally; got {self.batch}: "
                "set training.batch_size to a multiple"
            )
        model.to(fabric.device).train()
        self.trainable = {name for name, p in model.named_parameters() if p.requires_grad}
        self.beta = torch.ones((), device=fabric.device)
        self.fingerprint = fingerprint(config, model, data)
        self.parts: dict[str, Any] = {}
        self.state = State(sums=torch.zeros(len(MEASURES)))
        self.folder = folder if fabric.global_rank == 0 else None  # one process writes
        going_on = folder is not None and folder.goes_on(resume)
        fabric.barrier()  # every process has looked before the first one writes
        if folder and going_on:
            self.state, self.parts = load_checkpoint(folder.checkpoint)
            require_same(self.parts["fingerprint"], self.fingerprint, folder.path)
            model.load_state_dict(self.parts["model"])
        else:
            self.rehearse()
            self.start_from_data()
        if self.folder and not going_on:
            self.folder.make(config, data)
            save_weights(self.folder.weights("initial"), model.state_dict())
        align(fabric, model)
        self.initial = load_weights(folder.weights("initial")) if folder else copied(model.state_dict())
        self.state.sums = self.state.sums.to(fabric.device)
        self.average = Average(model, training.ema) if training.ema else None
        self.journal = Journal(self.folder.journal if self.folder else None, self.parts.get("journal", 0))
        self.bar = Bar(training.total_epochs, self.steps, done=self.state.step, quiet=quiet or fabric.global_rank > 0)
        self.watch = Stopwatch(self.state.seconds)
        self.saved = time.perf_counter()
        self.best_on_file = False
        self.stage: Stage

    def run(self) -> State:
        """Train to the end, and leave the model with its best weights."""
        with closing(self.journal):
            if not self.state.finished:
                with self.bar, asked_to_stop() as stop:
                    self.go_through(stop)
        self.fabric.barrier()  # no process is done before all are
        if self.state.best_weights is not None:
            self.model.load_state_dict(self.state.best_weights)
        return self.state

    def go_through(self, stop: Stop) -> None:
        """The loop itself: every phase, epoch and step that is still to come."""
        state, seed, batch = self.state, self.training.seed, self.batch
        self.begin()
        for phase in self.training.plan[state.phase :]:
            self.enter(phase)
            while state.phase_epoch < phase.epochs and not self.out_of_patience():
                order = epoch_order(seed, state.epoch, len(self.train)).to(self.fabric.device)
                while state.position < self.steps:
                    self.step(order[state.position * batch : (state.position + 1) * batch])
                    self.after_step(stop)
                self.end_epoch(phase)
            self.log()
            state.phase, state.phase_epoch, state.stale = state.phase + 1, 0, 0
        state.finished = True
        self.save()

    @torch.no_grad()
    def rehearse(self) -> None:
        """Two data through every phase's step: what cannot work is refused before anything is written or compiled."""
        if self.training.compile == "on" and not can_compile(self.fabric.device):
            raise InputError(f"expected a compiler; got {NO_COMPILER}: install one, or use --set training.compile=off")
        self.model.eval()
        devices = [self.fabric.device] if self.fabric.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self.fabric.autocast():
            x = self.train.take(2).batch(torch.arange(min(2, len(self.train)), device=self.fabric.device))
            state = copied(self.model.state_dict())
            for phase in self.training.plan:
                settle(self.model, phase.freeze)
                Stage(self.model, phase, self.config, self.trainable, self.steps).plain(x, self.beta)
            self.model.load_state_dict(state)
        self.model.train()

    def start_from_data(self) -> None:
        """The first batch through the model, for the parts whose parameters start from data (`starting`)."""
        if not unstarted(self.model):
            return
        devices = [self.fabric.device] if self.fabric.device.type == "cuda" else []
        first = epoch_order(self.training.seed, 0, len(self.train))[: self.batch]
        with torch.random.fork_rng(devices), starting(self.model):
            self.model(self.train.batch(first.to(self.fabric.device)))

    def begin(self) -> None:
        """Decide on compilation, and say what is worth saying."""
        state, training = self.state, self.training
        if self.parts:
            self.event(f"resumed at step {state.step}, epoch {state.epoch + 1}")
            return
        if self.batch < training.batch_size:
            self.event(f"the batch is the whole training split: {self.batch} data, not {training.batch_size}")
        data_per_step = self.batch * registry.build("objective", self.config["objective"]).samples
        state.compiled = wanted(training, self.model, self.steps * training.total_epochs, data_per_step)
        if state.compiled and not can_compile(self.fabric.device):
            state.compiled = False
            self.event(f"training without compilation, a quarter slower: {NO_COMPILER}")

    def enter(self, phase: Phase) -> None:
        """Set the phase up, from the checkpoint if there is one."""
        state, average, parts = self.state, self.average, self.parts
        before = self.stage if state.phase and not (parts or phase.reset) else None
        if phase.reset and not parts:
            reset(self.model, self.initial, phase.freeze)
            state.clock = 0
            if average:
                average.restart()
        if not parts and (settle(self.model, phase.freeze) or phase.reset):
            state.best, state.best_epoch, state.best_weights = None, None, None
        self.stage = Stage(self.model, phase, self.config, self.trainable, self.steps)
        self.stage.prepare(self.fabric, state.compiled, before)
        if not parts:
            self.save()
            return
        self.stage.load_state_dict(parts["stage"])
        if average:
            average.load_state_dict(parts["average"])
        set_rng_state(parts["rng"], self.fabric.device)
        self.parts = {}

    def step(self, indices: Tensor) -> None:
        """One step on the data ``indices``: nothing that is not finite reaches the weights."""
        state, stage, fabric = self.state, self.stage, self.fabric
        self.beta.fill_(stage.beta(state.clock))
        self.model.latents.anneal(state.clock / self.steps)
        place = state.phase_epoch * self.steps + state.position
        self.rate = stage.set_rate(place)
        before = rng_state(fabric.device)
        loss, measured = stage(share(fabric, self.train.batch(indices)), self.beta)
        fabric.backward(loss)
        stage.spare(place)
        norm = gradient_norm(stage.parameters)
        # The one wait for the device in a step: the same answer in every process, before the weights change.
        if math.isfinite(reduced(fabric, loss.detach() + norm, "sum").item()):
            if self.training.clip:
                torch.nn.utils.clip_grads_with_norm_(stage.parameters, self.training.clip, norm)
            stage.optimiser.step()
            if self.average:
                self.average.update()
            state.sums += measured
            state.counted += 1
            state.skipped = 0
        else:
            self.not_finite(indices, before)
        stage.drop_gradients()
        state.position, state.step, state.clock = state.position + 1, state.step + 1, state.clock + 1
        self.watch.steps += 1

    def not_finite(self, indices: Tensor, before: dict[str, Tensor]) -> None:
        """Name the term, keep the batch, and skip the step or stop."""
        state, device = self.state, self.fabric.device
        after = rng_state(device)
        set_rng_state(before, device)
        x = self.train.batch(indices)
        with self.fabric.autocast():
            finding = diagnose(self.stage.plain, x, self.beta, indices)
        message = f"step {state.step}, epoch {state.epoch + 1}: {finding}"
        if self.folder:
            message += dump(self.folder.path, state.step, finding, indices, x, before)
        if self.training.on_nonfinite == "skip" and state.skipped < MOST_SKIPPED:
            state.skipped += 1
            set_rng_state(after, device)
            self.event(f"skipped {message}")
            return
        set_rng_state(before, device)  # what is saved is the run before this step
        self.event(f"stopped at {message}")
        self.save()
        after_skips = f" after {state.skipped} skipped steps in a row" if state.skipped else ""
        raise TrainingError(f"expected finite numbers in training; got, at {message}{after_skips}: {REMEDY}")

    def after_step(self, stop: Stop) -> None:
        """Show, log, save and stop, each when it is time."""
        state = self.state
        due = state.step % self.training.log_every == 0
        self.bar.step(state.epoch, state.position)
        if due:
            self.log()
        number = stop.number
        if self.fabric.world_size > 1:  # all processes stop after the same step
            number = int(reduced(self.fabric, torch.tensor(number, device=self.fabric.device), "max")) if due else 0
        if number or time.perf_counter() - self.saved > self.training.checkpoint_every_seconds:
            self.save()
        if number:
            self.interrupted(number)

    def log(self) -> None:
        """A line of the journal: means over the steps since the last one."""
        state, watch = self.state, self.watch
        if not state.counted:
            return
        means = reduced(self.fabric, state.sums, "mean") / state.counted
        entries = dict(zip(MEASURES, means.tolist(), strict=True))
        entries |= {"beta": self.beta.item(), "lr": self.rate, "seconds": round(watch.lap(training=True), 3)}
        speed = round(watch.steps_per_second * self.batch, 1)
        epoch = state.epoch + (state.position > 0)
        self.journal.write(
            "train", step=state.step, epoch=epoch, phase=state.phase, **entries, samples_per_second=speed
        )
        self.bar.train(entries["elbo"], speed)
        state.sums.zero_()
        state.counted = 0
        watch.restart()

    def end_epoch(self, phase: Phase) -> None:
        """Validate when it is time, keep the best weights, and tell the schedule."""
        state = self.state
        state.epoch, state.phase_epoch, state.position = state.epoch + 1, state.phase_epoch + 1, 0
        if state.phase_epoch % self.training.validate_every and state.phase_epoch < phase.epochs:
            return
        self.watch.lap(training=True)
        with self.average.applied() if self.average else nullcontext():
            result = validate(self.model, self.validation, self.fabric, VALIDATION_SEED)
            best = math.isfinite(result.elbo) and (state.best is None or result.elbo > state.best)
            state.stale = 0 if best else state.stale + self.training.validate_every
            if best:
                state.best, state.best_epoch = result.elbo, state.epoch
                state.best_weights = copied(self.model.state_dict())
                self.best_on_file = False
        self.stage.schedule.observe(result.elbo)
        seconds = round(self.watch.lap(training=False), 3)
        where = {"step": state.step, "epoch": state.epoch, "phase": state.phase}
        figures = asdict(result) | self.model.latents.account()
        self.journal.write("validation", **where, **figures, best=best, seconds=seconds)
        self.bar.validation(result.elbo)

    def out_of_patience(self) -> bool:
        """Whether the phase ends early."""
        stale, patience = self.state.stale, self.training.patience
        if patience is None or stale < patience:
            return False
        self.event(f"phase {self.state.phase + 1} ended: no better bound on validation for {stale} epochs")
        return True

    def save(self) -> None:
        """Write weights and checkpoint; the checkpoint last, so that it never speaks of a file that is not there."""
        self.saved = time.perf_counter()
        self.state.seconds = self.watch.lap(training=True)
        if self.folder is None:
            return
        if self.state.best_weights is not None and not self.best_on_file:
            save_weights(self.folder.weights("best"), self.state.best_weights)
            self.best_on_file = True
        with self.average.applied() if self.average else nullcontext():
            save_weights(self.folder.weights("last"), self.model.state_dict())
        self.journal.sync()
        save_checkpoint(
            self.folder.checkpoint,
            self.state,
            fingerprint=self.fingerprint,
            model=self.model.state_dict(),
            stage=self.stage.state_dict(),
            average=self.average.state_dict() if self.average else None,
            rng=rng_state(self.fabric.device),
            journal=self.journal.length,
        )
        self.watch.lap(training=False)

    def interrupted(self, number: int) -> None:
        """Say how to go on, and leave."""
        where = f"interrupted at step {self.state.step}, epoch {self.state.epoch + 1}"
        if self.folder is None:
            raise Interrupted(where, number)
        command = ["flowvae", "train", str(self.folder.config), "--out", str(self.folder.path), "--resume"]
        command += [argument for path in registry.plugins() for argument in ("--plugin", str(path))]
        raise Interrupted(f"{where}, and saved: go on with `{shlex.join(command)}`", number)

    def event(self, message: str) -> None:
        """A notice, on the terminal and in the journal."""
        self.journal.write("event", message=message, step=self.state.step)
        self.bar.note(message)


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of the data in an epoch, a function of seed and epoch."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(count))
