"""log p(x) at another number of samples than the evaluation's."""

from flowvae.data import Data, Split
from flowvae.evaluation import score
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import Count, register


@register("measure", "importance")
@finds("log_likelihood_{samples}")
def importance(model: VAE, data: Data, held_out: Split, *, samples: Count = 100) -> Measured:
    """``log_likelihood_K``: log( 1/K sum_k w_k ) averaged over the held-out data, in nats, K = ``samples``.

    Figures at different K cannot be compared; this one stands beside those of others who used it.
    """
    return Measured({f"log_likelihood_{samples}": float(score(model, held_out, samples=samples).mean())})
