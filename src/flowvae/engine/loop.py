"""The training loop: phases of epochs of steps, flat."""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from flowvae.data import Data
from flowvae.data.ranges import unlike_scales
from flowvae.engine.agreement import objection
from flowvae.engine.checkpoints import Checkpoints, Parts, go_back, go_on
from flowvae.engine.compiling import compile_options, require_compiler
from flowvae.engine.ema import Average, averaged
from flowvae.engine.faults import Fault, not_finite, too_steep
from flowvae.engine.folder import Folder, Resume, fingerprint
from flowvae.engine.freezing import reset, settle
from flowvae.engine.generators import rng_state, set_rng_state
from flowvae.engine.interrupt import Interrupted, Stop, asked_to_stop
from flowvae.engine.journal import Journal
from flowvae.engine.launch import align, place, reduced, require_shares, share
from flowvae.engine.log import Log
from flowvae.engine.nonfinite import dump, retrace
from flowvae.engine.notices import on_beginning, on_resuming
from flowvae.engine.optim import gradient_norm
from flowvae.engine.options import Phase, Training
from flowvae.engine.progress import Bar
from flowvae.engine.stage import Stage
from flowvae.engine.start import compiles, rehearse, start_from_data
from flowvae.engine.state import State
from flowvae.engine.validation import validate
from flowvae.engine.weights import copied, load_weights
from flowvae.errors import counted, in_memory
from flowvae.model import VAE

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VALIDATION_SEED = 0  # one noise for every run, so that their curves can be compared


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
        self.advice = unlike_scales(data.train.values.numpy(force=True)) if data.support == "real" else ""
        self.validation = data.validation.frozen(VALIDATION_SEED).to(fabric.device)
        self.batch = min(training.batch_size, len(self.train))
        self.steps = len(self.train) // self.batch  # the last, incomplete batch is left out
        require_shares(fabric, model, self.batch)
        place(model, fabric.device, training)
        model.train()
        trainable = {name for name, p in model.named_parameters() if p.requires_grad}
        self.stage_of = partial(Stage, model, config=config, trainable=trainable, steps_per_epoch=self.steps)
        kept = model.state_dict()
        self.statistics = [value for name, value in model.named_buffers() if name in kept]
        self.beta = torch.ones((), device=fabric.device)
        self.folder = folder if fabric.global_rank == 0 else None  # one process writes
        going_on = folder is not None and folder.goes_on(resume)
        fabric.barrier()  # every process has looked before the first one writes
        self.checkpoints = Checkpoints(self.folder, fingerprint(config, model, data))
        self.state, self.parts = State(), Parts()
        if folder and going_on:
            self.state, self.parts = go_back(folder, self.checkpoints.fingerprint, model)
        else:
            require_compiler(training.compile, fabric.device)
            work = rehearse(model, self.train, training.plan, self.stage_of, fabric)
            self.state.compiled = compiles(model, training, work, self.steps, self.batch)
            start_from_data(model, self.train, self.order(0)[: self.batch])
            self.checkpoints.begin(config, data, model)
        align(fabric, model)
        self.initial = load_weights(folder.weights("initial")) if folder else copied(model.state_dict())
        self.state.to(fabric.device)
        self.average = Average(model, training.ema) if training.ema else None
        self.stage: Stage
        journal = Journal(self.folder.journal if self.folder else None, self.parts.get("journal", 0))
        quiet = quiet or fabric.global_rank > 0
        bar = Bar(training.total_epochs, self.steps, done=self.state.step, quiet=quiet)
        self.log = Log(self.state, journal, bar, self.batch, fabric)

    def run(self) -> State:
        """Train to the end, and leave the model with its best weights."""
        with closing(self.log.journal):
            if self.state.finished:
                self.log.bar.note("this run was finished before: nothing is left to train")
            else:
                with self.log.bar, asked_to_stop() as stop:
                    self.go_through(stop)
        self.checkpoints.keep_best(self.state)
        self.fabric.barrier()  # no process is done before all are
        if self.state.best_weights is not None:
            self.model.load_state_dict(self.state.best_weights)
        return self.state

    @in_memory("a step", "lower training.batch_size, objective.samples, or the sizes of the model")
    def go_through(self, stop: Stop) -> None:
        """The loop itself: every phase, epoch and step that is still to come."""
        state, batch = self.state, self.batch
        self.begin()
        for phase in self.training.plan[state.phase :]:
            self.enter(phase)
            while state.phase_epoch < phase.epochs and not self.out_of_patience():
                order = self.order(state.epoch)
                while state.position < self.steps:
                    self.step(order[state.position * batch : (state.position + 1) * batch])
                    self.after_step(stop)
                self.end_epoch(phase)
            self.log.train()
            state.phase, state.phase_epoch, state.stale = state.phase + 1, 0, 0
        state.finished = True
        self.save()
        if number := self.asked(stop):  # in the last validation: no step came after it
            raise Interrupted(f"interrupted at step {state.step}, when the run was finished", number)

    def order(self, epoch: int) -> Tensor:
        """The order of the data in an epoch, a function of seed and epoch."""
        order = np.random.default_rng([self.training.seed, epoch]).permutation(len(self.train))
        return torch.from_numpy(order).to(self.fabric.device)

    def begin(self) -> None:
        """Settle what is the device's to decide, and say what is worth saying."""
        state, training, device = self.state, self.training, self.fabric.device
        said = on_resuming(state, training, device) if self.parts else on_beginning(state, training, self.batch, device)
        said += [self.advice] if self.advice and not self.parts else []
        for notice in said:
            self.log.event(notice)

    def enter(self, phase: Phase) -> None:
        """Set the phase up: after the one before, or as its checkpoint says."""
        state = self.state
        checkpoint, self.parts = self.parts, {}
        before = self.stage if state.phase and not (checkpoint or phase.reset) else None
        if not checkpoint:
            self.turn(phase)
        self.stage = self.prepared(phase, before)
        if checkpoint:
            go_on(checkpoint, self.stage, self.average, self.fabric.device)
            return
        if state.phase + 1 == len(self.training.plan) and self.stage.is_warming_at_end(state.clock):
            self.log.event("beta still rises when the run ends: train longer, or shorten objective.warmup")
        self.save()

    def prepared(self, phase: Phase, before: Stage | None) -> Stage:
        """The stage of ``phase``, compiled where that is wanted and makes no other gradients."""
        state, fabric, stage = self.state, self.fabric, self.stage_of(phase)
        options = compile_options(self.training, fabric.device, fabric.world_size)
        stage.prepare(fabric, options if state.compiled else None, before)
        if state.compiled and fabric.world_size == 1:
            rows = self.order(state.epoch)[: self.batch]
            if notice := objection(stage, self.train, rows, self.beta, self.training, fabric):
                state.compiled = False
                self.log.event(notice)
                return self.prepared(phase, before)
        return stage

    def turn(self, phase: Phase) -> None:
        """Start again what the phase wants to, and settle what it freezes: the best so far was another model's then."""
        if phase.reset:
            reset(self.model, self.initial, phase.freeze)
            self.state.clock = 0
            if self.average:
                self.average.restart()
        if settle(self.model, phase.freeze) or phase.reset:
            self.state.forget_best()

    def step(self, indices: Tensor) -> None:
        """One step on the data ``indices``: nothing that is not finite reaches the weights."""
        state, stage, fabric = self.state, self.stage, self.fabric
        now = state.phase_epoch * self.steps + state.position
        state.beta, state.lr = stage.beta(state.clock), stage.set_rate(now)
        self.beta.fill_(state.beta)
        self.model.latents.anneal(state.clock / self.steps)
        before, statistics = rng_state(fabric.device), [value.clone() for value in self.statistics]
        loss, measured = stage(share(fabric, self.train.batch(indices)), self.beta)
        fabric.backward(loss)
        stage.spare(now)
        norm = gradient_norm(stage.parameters)
        # The one wait for the device in a step: the same answer in every process, before the weights change.
        checked, size = torch.stack([reduced(fabric, loss.detach() + norm, "sum"), norm]).tolist()
        if not math.isfinite(checked):
            self.rewind(statistics)
            self.leave_out(self.diagnosed(indices, before), before, statistics)
        elif self.training.skip and size > self.training.skip:
            self.leave_out(too_steep(size, self.training.skip), before, statistics)
        else:
            if self.training.clip:
                torch.nn.utils.clip_grads_with_norm_(stage.parameters, self.training.clip, norm)
            stage.optimiser.step()
            if self.average:
                self.average.update()
            state.sums += measured
            torch.maximum(state.steepest, norm, out=state.steepest)
            state.counted += 1
            state.skipped = 0
        stage.drop_gradients()
        state.position, state.step, state.clock = state.position + 1, state.step + 1, state.clock + 1
        self.log.watch.steps += 1

    def rewind(self, statistics: Sequence[Tensor]) -> None:
        """Back to the buffers before a step, which it has moved, as its replay does again."""
        for value, before in zip(self.statistics, statistics, strict=True):
            value.copy_(before)

    def diagnosed(self, indices: Tensor, before: dict[str, Tensor]) -> Fault:
        """Name the term that is not finite, and keep the batch."""
        finding, x = retrace(self.stage.plain, self.train, indices, self.beta, before, self.fabric)
        kept = dump(self.folder.path, self.state.step, finding, indices, x, before) if self.folder else ""
        return not_finite(f"{finding}{kept}", self.training.on_nonfinite)

    def leave_out(self, fault: Fault, before: dict[str, Tensor], statistics: Sequence[Tensor]) -> None:
        """Skip the step, if that is allowed and the last ones were not all skipped; else stop as before it."""
        self.rewind(statistics)
        state = self.state
        where = f"step {state.step}, epoch {state.epoch + 1}"
        if fault.may_be_left_out(state.skipped):
            state.skipped += 1
            self.log.event(f"skipped {where}: {fault.found}")
            return
        set_rng_state(before, self.fabric.device)  # what is saved is the run before this step
        self.log.event(f"stopped at {where}: {fault.found}")
        self.save()
        raise fault.error(where, state.skipped)

    def after_step(self, stop: Stop) -> None:
        """Show, log, save and stop, each when it is time."""
        state = self.state
        due = state.step % self.training.log_every == 0
        self.log.bar.step(state.epoch, state.position)
        if due:
            self.log.train()
        number = self.asked(stop) if due or self.fabric.world_size == 1 else 0
        if number or self.checkpoints.age > self.training.checkpoint_every_seconds:
            self.save()
        if number:
            kept = f", and saved: go on with `{self.folder.resumption}`" if self.folder else ""
            raise Interrupted(f"interrupted at step {state.step}, epoch {state.epoch + 1}{kept}", number)

    def asked(self, stop: Stop) -> int:
        """The signal that asked to stop in any process, or 0: all of them stop after the same step."""
        if self.fabric.world_size == 1:
            return stop.number
        return int(reduced(self.fabric, torch.tensor(stop.number, device=self.fabric.device), "max"))

    def end_epoch(self, phase: Phase) -> None:
        """Validate when it is time, keep the best weights, and tell the schedule."""
        state = self.state
        state.epoch, state.phase_epoch, state.position = state.epoch + 1, state.phase_epoch + 1, 0
        if state.phase_epoch % self.training.validate_every and state.phase_epoch < phase.epochs:
            return
        self.log.watch.lap(training=True)
        with averaged(self.average):
            found = validate(self.model, self.validation, self.fabric, VALIDATION_SEED)
            since = (state.phase_epoch - 1) % self.training.validate_every + 1
            if best := state.judge(found.elbo, self.stage.steady(state.clock, since)):
                state.best_weights = copied(self.model.state_dict())
        self.stage.schedule.observe(found.elbo)
        self.log.validation(asdict(found) | self.model.latents.account(), best=best)

    def out_of_patience(self) -> bool:
        """Whether the phase ends early."""
        stale, patience = self.state.stale, self.training.patience
        if patience is None or stale < patience:
            return False
        self.log.event(
            f"phase {self.state.phase + 1} ended: no better bound on validation for {counted(stale, 'epoch')}"
        )
        return True

    def save(self) -> None:
        """Keep the run as it stands now, on file if it has a folder."""
        watch = self.log.watch
        self.state.seconds = watch.lap(training=True)
        self.checkpoints.save(self.state, self.model, self.stage, self.average, self.log.journal, self.fabric.device)
        watch.lap(training=False)
