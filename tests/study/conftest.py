"""A study small enough to be run in a test."""

from pathlib import Path

import pytest

TOML = """
title = "Two tiny posteriors"
seeds = [0, 1]
metrics = ["elbo", "log_likelihood"]

[evaluation]
samples = 5

[base]
data = "digits"
encoder = { width = 16, depth = 1 }
latents = { dim = 2 }
likelihood = { decoder = { width = 16, depth = 1 } }
training = { epochs = 2, log_every = 5, compile = "off" }

[[rows]]
name = "diagonal"

[[rows]]
name = "full"
label = "full covariance"
overrides = { "latents.posterior.family" = "full" }
published = { elbo = -20.5, source = "a paper", binarise = "static" }
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The study's file."""
    path = tmp_path / "tiny.toml"
    path.write_text(TOML)
    return path
