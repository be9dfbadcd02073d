"""Writes the tables of the studies page: one for each results file, as the `flowvae` command prints it."""

import json
import subprocess
import sys
from pathlib import Path

NONE = "No results file is in `results/` yet: `flowvae study run digits-demo` writes the first.\n"


def write(app):
    root = Path(app.srcdir).parent
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    pages = [section(path, root) for path in sorted((root / "results").glob("*.json"))]
    (folder / "studies.md").write_text("\n".join(pages) or NONE, encoding="utf-8")


def section(path, root):
    title = json.loads(path.read_text(encoding="utf-8"))["title"]
    command = [sys.executable, "-m", "flowvae", "study", "table", path.stem, "--format", "markdown"]
    table = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return f"## {title}\n\n{table}\n"
