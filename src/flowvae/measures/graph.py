"""The graph that a model has settled on."""

from flowvae.data import Data, Split
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import register


@register("measure", "graph")
@finds("edges")
def graph(model: VAE, data: Data, held_out: Split) -> Measured:
    """``edges``: how many edges stand between the latent nodes. Nothing of a model without a graph."""
    found = model.latents.structure()
    return Measured({"edges": float(sum(found["stands"]))} if found else {})
