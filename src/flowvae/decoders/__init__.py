"""Decoders: latents to the parameters of a likelihood, one a file. Built as ``Decoder(in_shape, out_shape, **options)``."""
