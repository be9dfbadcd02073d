"""Priors p(z | c), one a file."""
