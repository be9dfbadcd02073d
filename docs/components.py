"""Writes the components page from the registry, so that it lists exactly what is there."""

import inspect
from pathlib import Path

from flowvae import registry

TITLES = {
    "latents": "Structures",
    "gates": "Gates of a graph",
    "posterior": "Posteriors",
    "family": "Families",
    "flow": "Flows",
    "prior": "Priors",
    "likelihood": "Likelihoods",
    "encoder": "Encoders",
    "decoder": "Decoders",
    "recurrence": "Decoders of sequences",
    "objective": "Objectives",
    "data": "Data",
    "optimiser": "Optimisers",
    "schedule": "Learning-rate schedules",
    "measure": "Measures",
}


def write(app):
    """Write `_generated/components.md`; called by Sphinx before it reads its sources."""
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    kinds = [*TITLES, *sorted(set(registry.PACKAGES) - set(TITLES))]
    pages = [section(kind) for kind in kinds if registry.names(kind)]
    (folder / "components.md").write_text("\n".join(pages), encoding="utf-8")


def section(kind):
    """The components of one kind."""
    title = TITLES.get(kind, kind.capitalize())
    return f"## {title}\n\n" + "\n".join(entry(kind, name) for name in registry.names(kind))


def entry(kind, name):
    """One component: its docstring, and a table of its options."""
    target = registry.component(kind, name)
    directive = "autoclass" if inspect.isclass(target) else "autofunction"
    shapes = inspect.signature(target).parameters.values()
    arguments = ", ".join(p.name for p in shapes if p.kind is not inspect.Parameter.KEYWORD_ONLY)
    where = f"{target.__module__}.{target.__qualname__}({arguments})"
    lines = [
        f"### {kind} `{name}`",
        "",
        "```{eval-rst}",
        f".. {directive}:: {where}",
        "   :no-index:",
        "```",
        "",
    ]
    lines += [f"Cost of {act}: {words}.\n" for act, words in registry.cost(kind, name).items()]
    options = registry.options(kind, name)
    if options:
        lines += ["| option | type | default |", "|---|---|---|"]
        lines += [f"| `{o.name}` | {code(o.type)} | {code(repr(o.default))} |" for o in options]
        lines += [""]
    return "\n".join(lines)


def code(text):
    """Text as code in a cell of a table."""
    return "`" + text.replace("|", "\\|") + "`"
