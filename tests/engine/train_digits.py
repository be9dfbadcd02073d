"""Train a small model, as a process of its own that tests can kill or launch twice: train_digits.py OPTIONS RUN."""

import json
import sys

import torch

from flowvae.data import load_data
from flowvae.engine import Interrupted, fit
from flowvae.model import build_model

SPEC = {
    "encoder": {"width": 16},
    "latents": {"dim": 3, "posterior": {"flow": {"name": "iaf", "steps": 1}}},
    "likelihood": {"decoder": {"width": 16}},
}

if __name__ == "__main__":
    data = load_data("digits", binarise="dynamic")
    torch.manual_seed(1)
    model = build_model(SPEC, data)
    try:
        fit(model, data, run=sys.argv[2], resume="auto", **json.loads(sys.argv[1]))
    except Interrupted as stop:
        print(stop)
        sys.exit(stop.code)
