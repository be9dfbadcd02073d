"""The training loop: phases of epochs of steps, flat."""

import math
import time
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.optim import Optimizer

from flowvae import registry
from flowvae.data import Data
from flowvae.engine.compiling import can_compile, compile_step, wanted
from flowvae.engine.ema import Average
from flowvae.engine.freezing import freeze, reset
from flowvae.engine.interrupt import Interrupted, Stop, asked_to_stop
from flowvae.engine.journal import Journal
from flowvae.engine.launch import launch
from flowvae.engine.malloc import keep_memory
from flowvae.engine.nonfinite import TrainingError, diagnose, dump
from flowvae.engine.optim import carry_over, gradient_norm, set_rate
from flowvae.engine.options import Phase, Training, overlaid, training_options
from flowvae.engine.progress import Bar
from flowvae.engine.run import Folder, fingerprint, require_same, run_config
from flowvae.engine.state import State, load_checkpoint, rng_state, save_checkpoint, set_rng_state
from flowvae.engine.step import MEASURES, Step, sliced_noise
from flowvae.engine.validation import validate
from flowvae.engine.weights import copied, load_weights, save_weights
from flowvae.errors import InputError
from flowvae.model import VAE
from flowvae.registry import Spec

if TYPE_CHECKING:
    from lightning_fabric import Fabric

VALIDATION_SEED = 0  # one noise for every run, so that their curves can be compared
MOST_SKIPPED = 20
COMPONENTS = ("objective", "optimiser", "schedule")
REMEDY = "lower optimiser.lr, set training.clip, or resume with training.on_nonfinite = 'skip'"


@dataclass(frozen=True)
class Fitted:
    """What `fit` came to. ``model`` holds the best weights by validation bound; the bounds are nats per datum."""

    model: VAE
    run: Path | None
    history: list[dict[str, Any]]
    """The journal's records."""
    best_elbo: float | None
    best_epoch: int | None
    epochs: int
    steps: int
    seconds: float


def fit(
    model: VAE,
    data: Data,
    *,
    run: str | Path | None = None,
    objective: str | Spec = "elbo",
    optimiser: str | Spec = "adam",
    schedule: str | Spec = "constant",
    resume: bool = False,
    quiet: bool = False,
    tables: dict[str, Any] | None = None,
    **options: Any,
) -> Fitted:
    """Train ``model`` on ``data.train``, and leave it with its best weights by the bound on ``data.validation``.

    Args:
        model: trained in place, and moved to the device it is trained on.
        data: its splits; the test split is not looked at.
        run: folder for config, journal, checkpoints and weights; without one the run is in memory only.
        objective, optimiser, schedule: component by name or table.
        resume: go on where the run in the folder stopped; a new run when nothing is there yet.
        quiet: neither progress bar nor notices.
        tables: further tables of the recipe to keep in config.toml.
        options: the fields of `Training`: ``epochs``, ``batch_size``, ``precision``, ``ema``, ...

    Raises:
        InputError: options, folder or checkpoint that do not fit.
        TrainingError: a loss or gradient that is not finite, named.
        Interrupted: Ctrl-C or SIGTERM, after the run was saved.
    """
    training = training_options(**options)
    components = {
        "objective": registry.resolve("objective", objective, default="elbo"),
        "optimiser": registry.resolve("optimiser", optimiser, default="adam"),
        "schedule": registry.resolve("schedule", schedule, default="constant"),
    }
    keep_memory()
    fabric = launch(training)
    devices = [fabric.device] if fabric.device.type == "cuda" else []
    trainable = {p: p.requires_grad for p in model.parameters()}
    checked = Distribution._validate_args
    try:
        Distribution.set_default_validate_args(False)  # a NaN is named by the loop, and checks cannot be compiled
        with torch.random.fork_rng(devices):
            torch.manual_seed(training.seed)
            config = run_config(model, data, components, training, tables)
            folder = Folder(Path(run)) if run is not None else None
            return Loop(model, data, config, training, fabric, folder, resume=resume, quiet=quiet).run()
    finally:
        Distribution.set_default_validate_args(checked)
        for parameter, flag in trainable.items():
            parameter.requires_grad_(flag)
        model.eval()


class Loop:
    """One run: `run` is the loop itself, the rest what it does at its turning points, in order."""

    def __init__(
        self,
        model: VAE,
        data: Data,
        config: dict[str, Any],
        training: Training,
        fabric: "Fabric",
        folder: Folder | None,
        *,
        resume: bool,
        quiet: bool,
    ) -> None:
        self.model, self.config, self.training, self.fabric, self.folder = model, config, training, fabric, folder
        model.to(fabric.device).train()
        self.train = data.train.to(fabric.device)
        self.validation = data.validation.frozen(VALIDATION_SEED).to(fabric.device)
        self.batch = min(training.batch_size, len(self.train))
        self.steps = len(self.train) // self.batch
        self.leads = fabric.global_rank == 0
        if self.batch % fabric.world_size:
            raise InputError(
                f"expected a batch that {fabric.world_size} processes can share equally; got {self.batch}: "
                "set training.batch_size to a multiple"
            )
        self.state = State(sums=torch.zeros(len(MEASURES)))
        self.parts: dict[str, Any] = {}
        self.fingerprint = fingerprint(config, model, data)
        if folder and folder.resumable(resume):
            self.state, self.parts = load_checkpoint(folder.checkpoint)
            require_same(self.parts["fingerprint"], self.fingerprint, folder.path)
            model.load_state_dict(self.parts["model"])
        elif folder and self.leads:
            folder.make(config, data)
            save_weights(folder.weights("initial"), model.state_dict())
        fabric.barrier()
        together(fabric, model)
        self.initial = load_weights(folder.weights("initial")) if folder else copied(model.state_dict())
        self.state.sums = self.state.sums.to(fabric.device)
        self.beta = torch.ones((), device=fabric.device)
        self.trainable = {name for name, p in model.named_parameters() if p.requires_grad}
        self.average = Average(model, training.ema) if training.ema else None
        self.journal = Journal(folder.journal if folder and self.leads else None, self.parts.get("journal", 0))
        self.bar = Bar(training.total_epochs, self.steps, quiet=quiet or not self.leads)
        self.optimiser: Optimizer | None = None
        self.best_on_file = False
        self.mark = self.saved = time.perf_counter()
        self.busy, self.timed = 0.0, 0

    def run(self) -> Fitted:
        """Train to the end."""
        state = self.state
        if state.finished:
            return self.fitted()
        with closing(self.journal), self.bar, asked_to_stop() as stop:
            self.begin()
            for phase in self.training.plan[state.phase :]:
                self.enter(phase)
                while state.phase_epoch < phase.epochs and not self.out_of_patience():
                    order = epoch_order(self.training.seed, state.epoch, len(self.train)).to(self.fabric.device)
                    while state.position < self.steps:
                        self.step(order[state.position * self.batch : (state.position + 1) * self.batch])
                        self.after_step(stop)
                    self.end_epoch(phase)
                self.log()
                state.phase, state.phase_epoch, state.stale = state.phase + 1, 0, 0
            state.finished = True
            self.save()
        return self.fitted()

    def begin(self) -> None:
        """Decide on compilation, and say what is worth saying."""
        state, training = self.state, self.training
        if self.parts:
            self.event(f"resumed at step {state.step}, epoch {state.epoch + 1}")
        else:
            per_step = self.batch * registry.build("objective", self.config["objective"]).samples
            state.compiled = wanted(training, self.model, self.steps * training.total_epochs, per_step)
            if self.batch < training.batch_size:
                self.event(f"the batch is the whole training split: {self.batch} data, not {training.batch_size}")
        if state.compiled and not can_compile(self.fabric.device):
            if training.compile == "on":
                raise InputError("expected a C++ compiler (g++ or clang++); got none: install one, or set compile = 'off'")
            state.compiled = False
            self.event("training without compilation, a quarter slower: no C++ compiler (g++ or clang++) found")

    def enter(self, phase: Phase) -> None:
        """Set up the phase's parameters, components and optimiser; go on from the checkpoint if there is one."""
        state, parts, fabric = self.state, self.parts, self.fabric
        tables = {kind: overlaid(self.config[kind], getattr(phase, kind)) for kind in COMPONENTS}
        self.parameters = freeze(self.model, phase.freeze, self.trainable)
        if phase.reset and not parts:
            reset(self.model, self.initial, phase.freeze)
            state.clock, state.best, state.best_epoch, state.best_weights = 0, None, None, None
            self.optimiser = None
            if self.average:
                self.average.restart()
        self.objective = registry.build("objective", tables["objective"])
        self.schedule = registry.build("schedule", tables["schedule"])
        self.schedule_steps = phase.epochs * self.steps
        world = fabric.world_size
        noise = sliced_noise(fabric.global_rank, world, fabric.device) if world > 1 else None
        step = Step(self.model, self.objective, noise)
        if state.compiled:
            compile_step(step)
        self.forward = fabric.setup(step)
        optimiser = registry.build("optimiser", tables["optimiser"], self.parameters)
        if self.optimiser:
            carry_over(self.optimiser, optimiser)
        self.optimiser = optimiser
        if parts:
            optimiser.load_state_dict(parts["optimiser"])
            self.schedule.load_state_dict(parts["schedule"])
            if self.average:
                self.average.load_state_dict(parts["average"])
            set_rng_state(parts["rng"], fabric.device)
            self.parts = {}
        else:
            self.save()

    def step(self, indices: Tensor) -> None:
        """One step on the data ``indices``: nothing that is not finite reaches the weights."""
        state, training = self.state, self.training
        self.beta.fill_(self.objective.weight(state.clock, self.steps))
        time_in_phase = state.phase_epoch * self.steps + state.position
        self.rate = set_rate(self.optimiser, self.schedule(time_in_phase, self.steps, self.schedule_steps))
        before = rng_state(self.fabric.device)
        loss, measured = self.forward(self.share(self.train.batch(indices)), self.beta)
        self.fabric.backward(loss)
        norm = gradient_norm(self.parameters)
        if self.is_finite(loss, norm):
            if training.clip:
                torch.nn.utils.clip_grads_with_norm_(self.parameters, training.clip, norm)
            self.optimiser.step()
            if self.average:
                self.average.update()
            state.sums += measured
            state.counted += 1
            state.skipped = 0
        else:
            self.not_finite(indices, before)
        self.optimiser.zero_grad(set_to_none=True)
        state.position, state.step, state.clock = state.position + 1, state.step + 1, state.clock + 1
        self.timed += 1

    def share(self, x: Tensor) -> Tensor:
        """This process' part of a batch."""
        part = self.batch // self.fabric.world_size
        return x[self.fabric.global_rank * part :][:part]

    def is_finite(self, loss: Tensor, norm: Tensor) -> bool:
        """Whether the step may be taken, the same in every process. The one wait for the device in a step."""
        total = loss.detach() + norm
        return bool(torch.isfinite(together_sum(self.fabric, total)))

    def not_finite(self, indices: Tensor, before: dict[str, Tensor]) -> None:
        """Name the term, keep the batch, and skip the step or stop."""
        state = self.state
        after = rng_state(self.fabric.device)
        set_rng_state(before, self.fabric.device)
        x = self.train.batch(indices)
        with self.fabric.autocast():
            finding = diagnose(Step(self.model, self.objective), x, self.beta, indices)
        message = f"step {state.step}, epoch {state.epoch + 1}: {finding}"
        if self.folder and self.leads:
            message += f" (see {dump(self.folder.path, state.step, finding, indices, x, before).name})"
        state.skipped += 1
        if self.training.on_nonfinite == "skip" and state.skipped <= MOST_SKIPPED:
            set_rng_state(after, self.fabric.device)
            self.event(f"skipped {message}")
            return
        self.optimiser.zero_grad(set_to_none=True)
        set_rng_state(before, self.fabric.device)
        self.event(f"stopped at {message}")
        self.save()
        again = f" {state.skipped} times in a row" if state.skipped > 1 else ""
        raise TrainingError(f"expected finite numbers in training; got{again} {message}: {REMEDY}")

    def after_step(self, stop: Stop) -> None:
        """Show, log, save and stop, each when it is time."""
        state, training = self.state, self.training
        self.bar.step(state.epoch, state.position)
        if state.step % training.log_every == 0:
            self.log()
        number = stop.number
        if self.fabric.world_size > 1:  # all processes stop after the same step
            waiting = torch.tensor(float(number), device=self.fabric.device)
            number = int(self.fabric.all_reduce(waiting, reduce_op="max")) if state.step % training.log_every == 0 else 0
        if number or time.perf_counter() - self.saved > training.checkpoint_every_seconds:
            self.save()
        if number:
            self.interrupted(number)

    def log(self) -> None:
        """A line of the journal: means over the steps since the last one."""
        state = self.state
        if not state.counted:
            return
        means = self.fabric.all_reduce(state.sums, reduce_op="mean") / state.counted
        entries = dict(zip(MEASURES, means.tolist(), strict=True))
        self.lap(training=True)
        speed = self.timed * self.batch / self.busy if self.busy else 0.0
        where = {"step": state.step, "epoch": state.epoch + (state.position > 0), "phase": state.phase}
        self.journal.write(
            "train", **where, **entries, beta=self.beta.item(), lr=self.rate,
            seconds=round(state.seconds, 3), samples_per_second=round(speed, 1),
        )  # fmt: skip
        self.bar.train(entries["elbo"], speed)
        state.sums.zero_()
        state.counted, self.busy, self.timed = 0, 0.0, 0

    def end_epoch(self, phase: Phase) -> None:
        """Validate when it is time, keep the best weights, and tell the schedule."""
        state = self.state
        state.epoch, state.phase_epoch, state.position = state.epoch + 1, state.phase_epoch + 1, 0
        if state.phase_epoch % self.training.validate_every and state.phase_epoch < phase.epochs:
            return
        self.lap(training=True)
        with self.average.applied() if self.average else nullcontext():
            result = validate(self.model, self.validation, self.fabric, VALIDATION_SEED)
            best = math.isfinite(result.elbo) and (state.best is None or result.elbo > state.best)
            if best:
                state.best, state.best_epoch, state.stale = result.elbo, state.epoch, 0
                state.best_weights = copied(self.model.state_dict())
                self.best_on_file = False
            else:
                state.stale += self.training.validate_every
        self.schedule.observe(result.elbo)
        self.lap(training=False)
        where = {"step": state.step, "epoch": state.epoch, "phase": state.phase}
        self.journal.write("validation", **where, **asdict(result), best=best, seconds=round(state.seconds, 3))
        self.bar.validation(result.elbo)

    def out_of_patience(self) -> bool:
        """Whether the phase ends early."""
        patience = self.training.patience
        if patience is None or self.state.stale < patience:
            return False
        self.event(f"phase {self.state.phase + 1} ended: no better bound on validation for {self.state.stale} epochs")
        return True

    def save(self) -> None:
        """Write checkpoint and weights; the checkpoint last, so that it never speaks of a file that is not there."""
        self.saved = time.perf_counter()
        if not (self.folder and self.leads):
            return
        self.lap(training=True)
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
            optimiser=self.optimiser.state_dict(),
            schedule=self.schedule.state_dict(),
            average=self.average.state_dict() if self.average else None,
            rng=rng_state(self.fabric.device),
            journal=self.journal.length,
        )
        self.lap(training=False)

    def interrupted(self, number: int) -> None:
        """Say how to go on, and leave."""
        where = f"at step {self.state.step}, epoch {self.state.epoch + 1}"
        if self.folder is None:
            raise Interrupted(f"interrupted {where}; the run was in memory only", number)
        path = self.folder.path
        raise Interrupted(
            f"interrupted {where} and saved; go on with: flowvae train {path / 'config.toml'} --out {path} --resume",
            number,
        )

    def fitted(self) -> Fitted:
        """The model with its best weights, and the record of the run."""
        self.journal.close()
        state = self.state
        if state.best_weights is not None:
            self.model.load_state_dict(state.best_weights)
        path = self.folder.path if self.folder else None
        return Fitted(
            self.model, path, self.journal.records, state.best, state.best_epoch, state.epoch, state.step, state.seconds
        )

    def event(self, message: str) -> None:
        """A notice, on the terminal and in the journal."""
        self.journal.write("event", message=message, step=self.state.step)
        self.bar.note(message)

    def lap(self, *, training: bool) -> None:
        """Add the time since the last lap to the run's, and to that of its steps if it was spent on them."""
        now = time.perf_counter()
        self.state.seconds += now - self.mark
        self.busy += (now - self.mark) * training
        self.mark = now


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of the data in an epoch, a function of seed and epoch."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(count))


def together(fabric: "Fabric", model: VAE) -> None:
    """Give every process the weights of the first."""
    if fabric.world_size > 1:
        for value in [*model.parameters(), *model.buffers()]:
            torch.distributed.broadcast(value.data, 0)


def together_sum(fabric: "Fabric", value: Tensor) -> Tensor:
    """The sum over processes."""
    return fabric.all_reduce(value, reduce_op="sum") if fabric.world_size > 1 else value
