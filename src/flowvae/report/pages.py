"""README and docs from committed results: their tables between markers, their figures as files."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flowvae.errors import InputError, nearest
from flowvae.files import load_json
from flowvae.report.kept import kept_figures
from flowvae.report.rendering import in_words
from flowvae.report.style import png
from flowvae.report.tables import study_table

MARKED = re.compile(
    r"^(?P<fence>```+|~~~+).*?^(?P=fence)`*$"  # code is left alone
    r"|^<!-- results:(?P<name>[\w-]+) -->$(?:(?P<body>.*?)^<!-- /results -->$)?",
    re.MULTILINE | re.DOTALL,
)
"""A block to fill: ``<!-- results:NAME -->``, anything, ``<!-- /results -->``; each marker on a line of its own."""


def refresh(root: Path) -> list[Path]:
    """Fill the marked blocks of README.md and docs, and draw docs/figures/NAME-*.png, from results/NAME.json.

    Returns the files that changed: none, when called again. Raises InputError, before anything is written, for a block
    that is not closed or whose results do not exist.
    """
    root = Path(root)
    paths = sorted((root / "results").glob("*.json"))
    results = {path.stem: load_json(path) for path in paths if not path.stem.endswith("-curves")}
    contents: dict[Path, bytes] = {}
    pages = [page for page in sorted((root / "docs").rglob("*.md")) if "/_" not in page.relative_to(root).as_posix()]
    for page in [root / "README.md", *pages]:
        if page.exists():
            text = page.read_text(encoding="utf-8")
            contents[page] = MARKED.sub(partial(_fill, page.relative_to(root), results), text).encode()
    for name, record in results.items():
        for kind, figure in kept_figures(root / "results", name, record).items():
            contents[root / "docs" / "figures" / f"{name}-{kind}.png"] = png(figure)
    changed = [path for path, new in contents.items() if not path.exists() or path.read_bytes() != new]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[path])
    return changed


def provenance_line(results: Mapping[str, Any]) -> str:
    """One sentence: the command, commits, dates, machines, versions, data and evaluation that made the results.

    Commits, dates, machines and versions are those of the runs in the table, each named once.
    """
    p = results.get("provenance", {})
    told = [run["provenance"] for row in results.get("rows", []) for run in row["runs"] if "provenance" in run] or [p]
    evaluation = p.get("evaluation", {})
    command = f"`{p['command']}`" if "command" in p else f"`flowvae study run {results.get('study', 'NAME')}`"
    parts = [f"Made by {command}" + _commits(told)]
    dates = sorted({str(own["date"]) for own in told if own.get("date")})
    if dates:
        parts[0] += f", finished {f'on {dates[0]}' if len(dates) == 1 else f'from {dates[0]} to {dates[-1]}'}"
    for key in ("machine", "versions"):
        parts += [" or ".join(dict.fromkeys(in_words(own[key]) for own in told if own.get(key)))]
    datasets = [own.get("data") or p.get("data") for own in told]
    if data := list(dict.fromkeys(_data_in_words(one) for one in datasets if one)):
        parts.append(f"data {', '.join(data)}")
    if evaluation:
        parts.append(f"evaluated with {in_words(evaluation)}")
    return "; ".join(filter(None, parts)) + "."


def _data_in_words(data: Mapping[str, Any]) -> str:
    """The name of a data set, how its pixels became bits, and the beginning of its digest."""
    said = [f"binarisation {data.get('binarise', 'not recorded')}"]
    if data.get("digest"):
        said.append(f"SHA-256 {str(data['digest'])[:12]}…")
    return f"{data.get('name', 'not recorded')} ({', '.join(said)})"


def _commits(told: Sequence[Mapping[str, Any]]) -> str:
    """The commits at which runs were made, in the order of their dates; one that was changed is said to be."""
    found: dict[str, None] = {}
    for own in sorted(told, key=lambda own: str(own.get("date"))):
        changed = " with changes" if own.get("changed_files") else ""
        found[f"{str(own['commit'])[:10]}{changed}" if own.get("commit") else "one not recorded"] = None
    if list(found) == ["one not recorded"]:
        return ""
    return f" at commit{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _fill(page: Path, results: Mapping[str, Mapping[str, Any]], found: re.Match[str]) -> str:
    name = found["name"]
    if name is None:
        return found[0]
    if found["body"] is None:
        raise InputError(
            f"expected '<!-- /results -->' after '<!-- results:{name} -->' in {page}; "
            "got the end of the file: close the block"
        )
    if name not in results:
        raise InputError(
            f"expected results/{name}.json for a block of {page}; got no such file{nearest(name, results)}: "
            f"'flowvae study run {name}' makes it"
        )
    table = study_table(results[name]).markdown()
    return f"<!-- results:{name} -->\n\n{table}\n{provenance_line(results[name])}\n\n<!-- /results -->"
