"""Run folders and study results written by hand, so that what the report must show is known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ENVIRONMENT = {
    "started": "2026-03-01T12:00:00+00:00",
    "command": "flowvae train mlp-iaf --out runs/iaf",
    "versions": {"python": "3.12.1", "flowvae": "0.1.0", "torch": "2.6.0", "numpy": "2.1.0"},
    "machine": {"system": "Linux", "processor": "Some CPU", "cores": 2, "threads": 2, "gpu": None},
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "data": {
        "name": "digits",
        "digest": "ab" * 32,
        "sizes": {"train": 1257, "validation": 180, "test": 360},
        "binarise": "dynamic",
        "event_shape": [1, 8, 8],
        "support": "binary",
    },
}


def config(seed: int, flow: str, epochs: int) -> str:
    return (
        f'seed = {seed}\n\n[data]\nname = "digits"\nbinarise = "dynamic"\n\n[latents]\nname = "flat"\ndim = 16\n\n'
        f'[latents.posterior]\nname = "gaussian"\n\n[latents.posterior.flow]\nname = "{flow}"\nsteps = 4\n\n'
        f"[training]\nepochs = {epochs}\nbatch_size = 100\n"
    )


def journal(epochs: int, final: float, seed: int) -> list[dict[str, Any]]:
    """Two training records an epoch and one validation record; both bounds fall towards ``final``."""
    noise = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    best, step = -np.inf, 0
    for epoch in range(1, epochs + 1):
        fall = 18 * np.exp(-epoch / 6) + 90 * np.exp(-epoch / 0.7)
        rate = 9 * (1 - np.exp(-epoch / 3)) + noise.normal(0, 0.05)
        for _ in range(2):
            step += 6
            elbo = -(final - 0.4 + fall) + noise.normal(0, 0.1)
            records.append(
                {"kind": "train", "step": step, "epoch": epoch, "phase": 0, "loss": -elbo, "elbo": elbo,
                 "distortion": -elbo - rate, "rate": rate, "beta": 1.0, "lr": 1e-3, "seconds": 0.1,
                 "samples_per_second": 6000.0}
            )  # fmt: skip
        elbo = -(final + 0.9 * fall + 0.004 * max(0, epoch - 25) ** 2) + noise.normal(0, 0.06)
        records.append(
            {"kind": "validation", "step": step, "epoch": epoch, "phase": 0, "elbo": elbo, "rate": rate,
             "distortion": -elbo - rate, "best": bool(elbo > best), "seconds": 0.02, "kl": [rate]}
        )  # fmt: skip
        best = max(best, elbo)
    return records


def evaluation(final: float, dims: tuple[int, ...], seed: int) -> dict[str, Any]:
    noise = np.random.default_rng(seed)
    kl = [np.where(np.arange(d) < 0.7 * d, noise.gamma(4, 0.25, d), 0.002) for d in dims]
    rate = float(sum(k.sum() for k in kl))
    return {
        "elbo": -final, "log_likelihood": -final + 2.4, "standard_error": 0.31, "elbo_standard_error": 0.33, "gap": 2.4,
        "ess": 87.3, "kl": [float(k.sum()) for k in kl], "kl_per_dimension": [k.tolist() for k in kl],
        "active_units": [int((k > 0.01).sum()) for k in kl], "bits_per_dim": None, "samples": 500, "seed": 0,
        "binarise": "dynamic", "count": 360, "distortion": final - rate, "rate": rate,
    }  # fmt: skip


def pictures(count: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth random pictures in [0, 1], or standard normal vectors."""
    noise = np.random.default_rng(seed)
    if len(shape) == 1:
        return noise.normal(size=(count, *shape)).astype(np.float32)
    y, x = np.mgrid[0 : shape[-2], 0 : shape[-1]] / shape[-1]
    centres = noise.uniform(0.25, 0.75, (count, shape[0], 2, 1, 1))
    return np.exp(-((x - centres[:, :, 0]) ** 2 + (y - centres[:, :, 1]) ** 2) / 0.06).astype(np.float32)


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Write a run folder; ``without`` leaves out files by name."""

    def make(
        folder: Path,
        *,
        seed: int = 0,
        final: float = 30.0,
        epochs: int = 40,
        stop: int | None = None,
        flow: str = "iaf",
        shape: tuple[int, ...] = (1, 8, 8),
        dims: tuple[int, ...] = (16,),
        without: tuple[str, ...] = (),
    ) -> Path:
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(config(seed, flow, epochs))
        (folder / "environment.json").write_text(json.dumps(ENVIRONMENT | {"seed": seed}))
        (folder / "journal.jsonl").write_text(
            "".join(json.dumps(r) + "\n" for r in journal(stop or epochs, final, seed))
        )
        (folder / "best.safetensors").touch()
        (folder / "evaluation.json").write_text(json.dumps(evaluation(final, dims, seed)))
        x = pictures(64, shape, seed)
        np.savez(folder / "samples.npz", samples=x)
        np.savez(folder / "reconstructions.npz", originals=x[:12], means=(0.9 * x[:12] + 0.03))
        for name in without:
            (folder / name).unlink()
        return folder

    return make


@pytest.fixture
def results() -> dict[str, Any]:
    """A study of three rows and three seeds; the last row lacks one seed, the middle has published figures."""

    def run(seed: int, elbo: float, gap: float) -> dict[str, Any]:
        return {"seed": seed, "elbo": elbo, "log_likelihood": elbo + gap, "elbo_se": 0.3, "epochs": 40, "seconds": 30.0}

    kingma = {
        "elbo": -82.02, "elbo_se": 0.08, "log_likelihood": -79.77, "source": "Kingma et al. 2016",
        "binarise": "dynamic", "samples": 128, "note": "other data",
    }  # fmt: skip
    rows = [
        ("diagonal", "diagonal", [-32.10, -31.80, -32.45], 2.9, {}),
        ("full", "full covariance", [-31.52, -31.10, -31.95], 2.4, kingma),
        ("iaf", "IAF, 4 steps", [-31.01, -30.85], 1.9, {}),
    ]
    return {
        "study": "digits-demo",
        "title": "Four posteriors on digits",
        "description": "The same networks and budget; only q(z | x) differs.",
        "metrics": ["elbo", "log_likelihood"],
        "rows": [
            {
                "name": name,
                "label": label,
                "runs": [run(seed, elbo, gap + 0.01 * seed) for seed, elbo in enumerate(elbos)],
                "published": published,
            }
            for name, label, elbos, gap, published in rows
        ],
        "provenance": {
            "command": "flowvae study run digits-demo", "commit": "0123456789abcdef", "date": "2026-03-01",
            "machine": {"processor": "Some CPU", "cores": 2, "gpu": None},
            "versions": {"flowvae": "0.1.0", "torch": "2.6.0"},
            "data": {"name": "digits", "digest": "ab" * 32, "binarise": "dynamic"},
            "evaluation": {"samples": 500, "seed": 0},
        },
    }  # fmt: skip
