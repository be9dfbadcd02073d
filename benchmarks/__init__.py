"""Speed and memory of flowvae beside other code: ``python -m benchmarks``."""
