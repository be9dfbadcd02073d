"""Decoders: latents to a likelihood's parameters, one a file; built as ``Decoder(in_shape, out_shape, **options)``."""
