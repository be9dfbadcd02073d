"""One self-contained HTML page for one or several runs, or for a study."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from flowvae.errors import InputError
from flowvae.files import write_text
from flowvae.report.figures import kl_per_dimension, study_chart, training_curves
from flowvae.report.graphs import ancestral_figure, structure_figure
from flowvae.report.metrics import charted
from flowvae.report.pages import provenance_line
from flowvae.report.pictures import largest_error, reconstructions, sample_grids
from flowvae.report.rendering import Column, Table, in_words
from flowvae.report.rows import study_rows
from flowvae.report.runs import Run, read_runs
from flowvae.report.style import DPI, png
from flowvae.report.tables import runs_table, study_table

SHOWN = 64  # samples of each run
CURVES = "−ELBO, rate and distortion against the epoch, training and validation"
RECONSTRUCTED = "Originals, means of p(x | z) and absolute errors, in three rows"
CODE = re.compile("`([^`]*)`")


@dataclass(frozen=True)
class Picture:
    """A figure inlined in the page, with the words that stand for it and its width in CSS pixels."""

    label: str
    alt: str
    source: str
    width: int


def write_report(
    folders: Iterable[Path],
    out: Path,
    study_results: Mapping[str, Any] | None = None,
    *,
    kept: Mapping[str, Figure] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> Path:
    """Write the page of the runs in ``folders`` to ``out``; ``study_results`` puts the study's table and chart first.

    Of a study whose folders are ``elsewhere``, named with the command that makes each, curves, samples and
    reconstructions are those ``kept`` with its results (`kept_figures`), where there are any. The page loads nothing
    from anywhere. A run that has only part of its files gives the sections it can, and the page names what is missing
    and the command that makes it. Raises InputError for a folder that is no run, for an ``out`` that is a folder, and
    when there is nothing to report.
    """
    runs, out, kept, elsewhere = read_runs(folders), Path(out), kept or {}, elsewhere or {}
    if not runs and study_results is None:
        raise InputError("expected at least one run folder; got none: 'flowvae report RUN...'")
    if out.is_dir():
        raise InputError(f"expected a file to write; got the folder {str(out)!r}: name {str(out / 'report.html')!r}")
    first = list({run.group: run for run in reversed(runs)}.values())[
        ::-1
    ]  # one seed of each group, in the order given
    environment = Environment(
        loader=PackageLoader("flowvae.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    html = environment.get_template("page.html.j2").render(
        title=_title(runs, study_results),
        description=str((study_results or {}).get("description", "")),
        study=_study(study_results) if study_results else None,
        table=Markup(runs_table(runs).html()) if runs else None,
        missing=[
            *((name, "the run's folder", command) for name, command in elsewhere.items()),
            *((run.name, what, command) for run in runs for command, what in _missing(run).items()),
        ],
        events=[(run.name, event) for run in runs for event in run.history.events],
        curves=_picture(kept["curves"], "", CURVES) if "curves" in kept else _curves(runs, study_results),
        samples=[_picture(kept["samples"], "", "Samples of each row")] if "samples" in kept else _samples(first),
        reconstructions=(
            [_picture(kept["reconstructions"], "", f"{RECONSTRUCTED}, of each row")]
            if "reconstructions" in kept
            else _reconstructions(first)
        ),
        kl=_kl(first),
        structures=_structures(first),
        rungs=_rungs(first),
        one_seed=bool(kept) or len(first) < len(runs),
        made=_made(study_results) if study_results else None,
        provenance=_provenance({run.name: run.environment for run in runs}),
        differences=_differences({run.name: _flat(run.config) for run in first}),
        configs=[(run.name, run.config_text) for run in first],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, html)
    return out


def _title(runs: Sequence[Run], results: Mapping[str, Any] | None) -> str:
    if results:
        return str(results.get("title") or results.get("study") or "Study")
    return runs[0].name if len(runs) == 1 else f"{len(runs)} runs"


def _picture(figure: Figure, label: str, alt: str) -> Picture:
    width = round(figure.get_figwidth() * DPI / 2)
    return Picture(label, alt, "data:image/png;base64," + b64encode(png(figure)).decode("ascii"), width)


def _study(results: Mapping[str, Any]) -> tuple[Markup, Picture]:
    chart = _picture(
        study_chart(study_rows(results), charted(results)),
        "",
        "Mean and 95 % interval over seeds for each row of the study",
    )
    return Markup(study_table(results).html()), chart


def _made(results: Mapping[str, Any]) -> Markup:
    """Where the results come from: what is code in Markdown is code in the page."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(provenance_line(results)))))


def _curves(runs: Sequence[Run], results: Mapping[str, Any] | None) -> Picture | None:
    labels = {row.name: row.label for row in study_rows(results)} if results else {}
    series: dict[str, list] = {}
    for run in runs:
        train, validation = run.history.train, run.history.validation
        if len(train) or len(validation):
            series.setdefault(labels.get(run.group, run.group), []).append((train, validation))
    if not series:
        return None
    return _picture(training_curves(series), "", CURVES)


def _samples(runs: Sequence[Run]) -> list[Picture]:
    return [
        _picture(sample_grids({"": run.samples[:SHOWN]}, width=3.3), run.name, f"Samples of {run.name}")
        for run in runs
        if run.samples is not None and len(run.samples)
    ]


def _reconstructions(runs: Sequence[Run]) -> list[Picture]:
    pairs = {run.name: run.pairs for run in runs if run.pairs is not None and len(run.pairs[0])}
    worst = _shared(runs, {name: largest_error(*pair) for name, pair in pairs.items()})
    return [
        _picture(reconstructions({"": pair}, worst=worst[name]), name, f"{RECONSTRUCTED}: {name}")
        for name, pair in pairs.items()
    ]


def _kl(runs: Sequence[Run]) -> list[Picture]:
    found = {run.name: groups for run in runs if (groups := _groups(run.evaluation))}
    top = _shared(runs, {name: max(float(kl.max()) for kl in groups.values()) for name, groups in found.items()})
    return [
        _picture(kl_per_dimension(groups, top=top[name]), name, f"KL per dimension of {name}, sorted")
        for name, groups in found.items()
    ]


def _shared(runs: Sequence[Run], greatest: Mapping[str, float]) -> dict[str, float]:
    """The end of each run's scale: the greatest value of all runs on the same data."""
    data = {run.name: run.environment.get("data", {}).get("digest") for run in runs}
    return {name: max(value for other, value in greatest.items() if data[other] == data[name]) for name in greatest}


def _structures(runs: Sequence[Run]) -> list[Picture]:
    """Two pictures of each run with a graph: the graph and its history, and ancestral samples."""
    found = []
    for run in runs:
        if run.structure:
            alt = f"Graph of the latent nodes of {run.name}, probability of its gates, bound against steps"
            found.append(_picture(structure_figure(run.structure, run.history), run.name, alt))
            if run.ancestral:
                alt = f"Ancestral samples of {run.name}: a row a node, held fixed and resampled"
                found.append(_picture(ancestral_figure(run.structure, *run.ancestral), "", alt))
    return found


def _rungs(runs: Sequence[Run]) -> list[Picture]:
    """What the rungs of each run with a ladder know."""
    return [
        _picture(sample_grids(run.rungs), run.name, f"Partial reconstructions and tempered samples of {run.name}")
        for run in runs
        if run.rungs
    ]


def _groups(evaluation: Mapping[str, Any] | None) -> dict[int, np.ndarray]:
    """The KL per dimension of each latent group that has one, by the group's number."""
    told = enumerate((evaluation or {}).get("kl_per_dimension") or [], 1)
    groups = {number: np.asarray(group, dtype=float).ravel() for number, group in told}
    return {number: group for number, group in groups.items() if group.size}


def _missing(run: Run) -> dict[str, str]:
    """What is missing, gathered under the command that makes it."""
    commands: dict[str, list[str]] = {}
    for missing in run.missing:
        commands.setdefault(missing.command, []).append(missing.what)
    return {command: "; ".join(what) for command, what in commands.items()}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted names."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": str(value)}
    return flat


def _provenance(environments: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], Markup | None]:
    """What all runs share, once; and a table of what differs between them."""
    said = {name: {key: in_words(value) for key, value in e.items()} for name, e in environments.items() if e}
    keys = list(dict.fromkeys(key for record in said.values() for key in record))
    shared = {
        key: next(iter(said.values())).get(key, "–") for key in keys if len({r.get(key) for r in said.values()}) == 1
    }
    return shared, _differences(said)


def _differences(records: Mapping[str, Mapping[str, str]]) -> Markup | None:
    """A table of the keys whose values differ, the longer of runs and keys going down; None where nothing does."""
    keys = list(dict.fromkeys(key for record in records.values() for key in record))
    keys = [key for key in keys if len({record.get(key) for record in records.values()}) > 1]
    if not keys:
        return None
    heads: tuple[str, ...] = ("run", *(key.replace(".", ".\n") for key in keys))
    lines = [(name, *(record.get(key, "–") for key in keys)) for name, record in records.items()]
    if len(keys) > len(records):
        heads, *lines = zip(("", *keys), *lines, strict=True)
    return Markup(Table(tuple(Column(head, numeric=False) for head in heads), tuple(lines)).html())
