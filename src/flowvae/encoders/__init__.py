"""Encoders: a datum to features h, one a file; built as ``Encoder(event_shape, **options)``.

The attribute ``features`` tells the width of h.
"""
