"""Likelihoods p(x | z), one a file.

``accepts`` names the kinds of data that each is a density of; one that accepts ``levels`` alone is a probability of
whole numbers, has the attribute ``levels``, and gives figures in bits.
"""
