"""Likelihoods p(x | z), one a file; ``accepts`` names the kinds of data that each is a density of."""
