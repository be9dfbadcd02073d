"""How fast a model trains, draws and infers on this machine, beside what the machine can do."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from flowvae.data import Data
from flowvae.distributions import unchecked
from flowvae.engine.compiling import compile_options, require_compiler
from flowvae.engine.fit import require_fit, run_config
from flowvae.engine.freezing import left_trainable
from flowvae.engine.generators import aside
from flowvae.engine.launch import launch, place, require_shares
from flowvae.engine.options import training_options
from flowvae.engine.peaks import WARM, most_held, peak_conv_flops, peak_flops, timed
from flowvae.engine.precision import settled
from flowvae.engine.stage import Stage
from flowvae.engine.start import start_from_data
from flowvae.errors import InputError
from flowvae.model import VAE
from flowvae.registry import Spec


@dataclass(frozen=True)
class Speed:
    """What `bench` measures: medians of single steps, in seconds where not said otherwise."""

    device: str
    precision: str
    compiled: bool
    batch: int
    steps: int
    """Steps and passes that were timed, after a few that do not count."""
    samples_per_second: float
    """Data trained on a second: forward, backward and optimiser."""
    flops_per_datum: int
    """Floating-point operations of matrix products and convolutions, forward and backward; masks are not discounted."""
    peak_flops: float
    """Of a large matrix product in the same precision, here and now."""
    fraction_of_peak: float
    peak_conv_flops: float
    """Of convolutions of many maps, likewise."""
    fraction_of_conv_peak: float
    memory_bytes: int | None
    """The most allocated on a CUDA device in a step; on a CPU the most that the process has held; None if untold."""
    sample_one: float
    """Drawing one datum from the prior."""
    forward_one: float
    """The terms of the bound for one datum."""

    def __str__(self) -> str:
        lines = {
            "device": f"{self.device}, {self.precision}, {'compiled' if self.compiled else 'not compiled'}",
            "timed": f"medians of {self.steps} steps, after {WARM} that do not count",
            "training": f"{self.samples_per_second:.0f} data a second, in batches of {self.batch}",
            "work": f"{self.flops_per_datum / 1e6:.1f} MFLOP a datum",
            "of the peak": f"{self.fraction_of_peak:.1%} of {self.peak_flops / 1e9:.0f} GFLOP/s of matrix products",
            "": f"{self.fraction_of_conv_peak:.1%} of {self.peak_conv_flops / 1e9:.0f} GFLOP/s of convolutions",
            "memory": "not told" if self.memory_bytes is None else f"{self.memory_bytes / 2**20:.0f} MiB",
            "one sample": f"{1e3 * self.sample_one:.1f} ms",
            "one forward pass": f"{1e3 * self.forward_one:.1f} ms",
        }
        return "\n".join(f"{name:<18}{value}" for name, value in lines.items())

    def to_dict(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        return asdict(self)


def bench(
    model: VAE,
    data: Data,
    *,
    objective: Spec = "elbo",
    optimiser: Spec = "adam",
    schedule: Spec = "constant",
    steps: int = 20,
    **options: Any,
) -> Speed:
    """Time ``steps`` training steps of ``model`` on ``data``, and single passes: the model is trained a little by it.

    The options are those of `fit`. ``compile`` is taken at its word: "on" compiles, anything else does not. Raises
    `InputError` as `fit` does.
    """
    if steps < 1:
        raise InputError(f"expected at least 1 step; got {steps}")
    training = training_options(**options)
    config = run_config(model, data, objective, optimiser, schedule, training, None)
    require_fit(model, data)
    fabric = launch(training)
    device = fabric.device
    require_compiler(training.compile, device)
    compiled, precision = training.compile == "on", settled(training, device)
    with unchecked(), aside(device), left_trainable(model) as trainable:
        torch.manual_seed(training.seed)
        train = data.train.to(device)
        place(model, device, training)
        model.train()
        batch = min(training.batch_size, len(train))
        require_shares(fabric, model, batch)
        rows = torch.randint(len(train), (batch,), device=device)
        start_from_data(model, train, rows)
        stage = Stage(model, training.plan[0], config, trainable, max(1, len(train) // batch))
        options = compile_options(training, device, fabric.world_size)
        stage.prepare(fabric, options if compiled else None, None)
        beta = torch.ones((), device=device)

        def step() -> None:
            loss, _ = stage(train.batch(rows), beta)
            fabric.backward(loss)
            stage.optimiser.step()
            stage.drop_gradients()

        with FlopCounterMode(display=False) as counter, fabric.autocast():
            stage.plain(train.batch(rows), beta)[0].backward()
        stage.drop_gradients()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = timed(step, steps, device)
        memory = most_held(device)
        model.eval()
        one = train.batch(rows[:1])
        with torch.no_grad(), fabric.autocast():
            sample = timed(lambda: model.generate(1).sample(), steps, device)
            forward = timed(lambda: model(one).log_w, steps, device)
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    peak, conv_peak = peak_flops(device, dtype), peak_conv_flops(device, dtype)
    flops = counter.get_total_flops()
    name = f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return Speed(
        device=name,
        precision=precision,
        compiled=compiled,
        batch=batch,
        steps=steps,
        samples_per_second=batch / seconds,
        flops_per_datum=flops // batch,
        peak_flops=peak,
        fraction_of_peak=flops / seconds / peak,
        peak_conv_flops=conv_peak,
        fraction_of_conv_peak=flops / seconds / conv_peak,
        memory_bytes=memory,
        sample_one=sample,
        forward_one=forward,
    )
