"""flowvae: variational autoencoders whose structure, posterior, flow and likelihood are chosen independently.

>>> import flowvae as fv
>>> data = fv.load_data("digits")
>>> model = fv.build_model({"latents": {"name": "flat", "dim": 8, "posterior": {"flow": "iaf"}}}, data)
>>> fv.fit(model, data, epochs=1, quiet=True).epochs
1

What a name needs is imported when it is first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowvae import registry as registry
    from flowvae.config import Config as Config
    from flowvae.data import Data as Data
    from flowvae.data import Split as Split
    from flowvae.data import from_arrays as from_arrays
    from flowvae.data import load_data as load_data
    from flowvae.engine import Fitted as Fitted
    from flowvae.engine import load as load
    from flowvae.engine.fit import fit as fit
    from flowvae.errors import InputError as InputError
    from flowvae.evaluation import Evaluation as Evaluation
    from flowvae.evaluation import evaluate as evaluate
    from flowvae.evaluation import score as score
    from flowvae.model import VAE as VAE
    from flowvae.model import Trace as Trace
    from flowvae.model import build_model as build_model

_HOMES = {
    "flowvae.config": ("Config",),
    "flowvae.data": ("Data", "Split", "from_arrays", "load_data"),
    "flowvae.engine": ("Fitted", "fit", "load"),
    "flowvae.errors": ("InputError",),
    "flowvae.evaluation": ("Evaluation", "evaluate", "score"),
    "flowvae.model": ("VAE", "Trace", "build_model"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "VAE", "Config", "Data", "Evaluation", "Fitted", "InputError", "Split", "Trace",
    "build_model", "evaluate", "fit", "from_arrays", "load", "load_data", "registry", "score",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "registry":
        return import_module("flowvae.registry")
    if name not in _HOME:
        raise AttributeError(f"module 'flowvae' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
