"""The command ``flowvae``: one file a group of commands, and one place where errors become a sentence."""

from flowvae.cli.main import main

__all__ = ["main"]
