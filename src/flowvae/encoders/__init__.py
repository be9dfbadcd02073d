"""Encoders: a datum to features h, one a file. Built as ``Encoder(event_shape, **options)``; ``features`` tells h's width."""
