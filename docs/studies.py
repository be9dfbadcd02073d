"""Writes the studies page: for each results file its table, where it came from, and the figures drawn from it."""

import json
from pathlib import Path

from flowvae.report.pages import provenance_line
from flowvae.report.tables import study_table

FIGURES = {
    "true_posterior": "Densities in the latent plane: true posteriors (or targets) and those fitted to them.",
    "manifold": "Means of p(x | z) over the latent plane, through the prior's quantiles.",
    "rows": "Bound and estimate of log p(x) of each row.",
    "curves": "Bound during training, on training and validation data.",
    "samples": "Means of p(x | z) at draws from the prior.",
    "reconstructions": "Originals and their reconstructions.",
}
NONE = "No results file is in `results/` yet: `flowvae study run digits-demo` writes the first.\n"


def write(app):
    """Write `_generated/studies.md`; called by Sphinx before it reads its sources."""
    docs = Path(app.srcdir)
    paths = sorted((docs.parent / "results").glob("*.json"))
    pages = [section(path, docs) for path in paths if not path.stem.endswith("-curves")]
    folder = docs / "_generated"
    folder.mkdir(exist_ok=True)
    (folder / "studies.md").write_text("\n".join(pages) or NONE, encoding="utf-8")


def section(path, docs):
    """One study in Markdown."""
    results = json.loads(path.read_text(encoding="utf-8"))
    parts = [f"## {results['title']}", results["description"]]
    parts += [study_table(results).markdown(), provenance_line(results)]
    for kind, caption in FIGURES.items():
        figure = Path("figures") / f"{path.stem}-{kind}.png"
        if (docs / figure).exists():
            parts.append(f"```{{figure}} {figure}\n{caption}\n```")
    return "\n\n".join(parts) + "\n"
