"""Names to components, whose signatures are the schema of their options.

Positional parameters are shapes, wired by the parent; keyword-only parameters are the user's options, all with
defaults. What the author of a component needs is imported from here.
"""

from flowvae.registry.components import PACKAGES, build, component, cost, describe, names, options, register, resolve
from flowvae.registry.plugin import command_line, load_plugin, plugins
from flowvae.registry.signature import (
    Count,
    Fraction,
    Kind,
    NonNegative,
    NonNegativeFloat,
    Option,
    Positive,
    Seed,
    Several,
    Spec,
    validated,
)

__all__ = [
    "PACKAGES", "Count", "Fraction", "Kind", "NonNegative", "NonNegativeFloat", "Option", "Positive", "Seed", "Several",
    "Spec", "build", "command_line", "component", "cost", "describe", "load_plugin", "names", "options", "plugins",
    "register", "resolve", "validated",
]  # fmt: skip
