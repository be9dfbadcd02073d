"""Measures of a trained model beyond its bound, one a file: what a study counts and draws of every run.

A measure is a registered function ``measure(model, data, held_out, **options)`` that returns a `Measured`: the model in
evaluation mode and on its device, all of the data set, and the split that the run is evaluated on. A study lists
``measures = ["name", ...]``; the figures join the run's record, where ``metrics`` may name them. `finds` declares them,
so that a metric that nothing measures is refused before any run.
"""

from flowvae.measures.base import Measured, figures_of, finds, is_figure

__all__ = ["Measured", "figures_of", "finds", "is_figure"]
