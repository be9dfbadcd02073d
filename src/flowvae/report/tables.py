"""Study results and runs as tables: nats per datum, lower is better, binarisation and K on every row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import Any

from flowvae.errors import InputError
from flowvae.report.intervals import Estimate, estimate, paired_difference
from flowvae.report.rendering import NONE, Column, Table, number, with_error, with_interval
from flowvae.report.runs import Run


@dataclass(frozen=True)
class Metric:
    """How a metric of the results is shown: ``sign`` -1 turns a bound, higher is better, into a cost."""

    title: str
    sign: int = 1
    decimals: int = 2
    nats: bool = True


METRICS = {
    "elbo": Metric("−ELBO", sign=-1),
    "log_likelihood": Metric("−log p(x)", sign=-1),
    "true_log_likelihood": Metric("−log p(x), true density", sign=-1),
    "log_likelihood_100": Metric("−log p(x), K = 100", sign=-1),
    "gap": Metric("gap"),
    "posterior_kl": Metric("KL(q ‖ p(z | x))", decimals=3),
    "rate": Metric("rate"),
    "distortion": Metric("distortion"),
    "bits_per_dim": Metric("bits/dim", decimals=3, nats=False),
    "gaussian_bits_per_dim": Metric("bits/dim of a Gaussian", decimals=3, nats=False),
    "ess": Metric("ESS", decimals=1, nats=False),
    "active_units": Metric("active units", decimals=1, nats=False),
    "match_taught": Metric("exact match, taught (%)", decimals=1, nats=False),
    "match": Metric("exact match, free-running (%)", decimals=1, nats=False),
    "feature_error": Metric("error of features", decimals=3, nats=False),
    "validity": Metric("valid (%)", decimals=1, nats=False),
    "uniqueness": Metric("unique (%)", decimals=1, nats=False),
    "novelty": Metric("novel (%)", decimals=1, nats=False),
    "rmse": Metric("RMSE", decimals=4, nats=False),
    "pearson": Metric("Pearson r", decimals=3, nats=False),
    "epochs": Metric("epochs", decimals=0, nats=False),
    "seconds": Metric("seconds", decimals=0, nats=False),
    "parameters": Metric("parameters", decimals=0, nats=False),
}


def metric(name: str) -> Metric:
    """How the metric ``name`` is shown; one that is not known is shown as it stands."""
    return METRICS.get(name, Metric(name.replace("_", " "), nats=False))


@dataclass(frozen=True)
class StudyRow:
    """One row of a study: each metric as shown (``Metric.sign`` applied), over the seeds and against the first row."""

    name: str
    label: str
    seeds: tuple[int, ...]
    values: dict[str, dict[int, float]]
    estimates: dict[str, Estimate | None]
    differences: dict[str, Estimate | None]
    binarise: str
    samples: str
    published: Mapping[str, Any]


def metrics_of(results: Mapping[str, Any]) -> list[str]:
    """The metrics that a study's tables and charts show."""
    return list(results.get("metrics") or ["elbo", "log_likelihood"])


def charted(results: Mapping[str, Any]) -> list[str]:
    """The metrics that share a study's chart: the bound and log p(x), else the first of its metrics."""
    names = metrics_of(results)
    return [name for name in ("elbo", "log_likelihood") if name in names] or names[:1]


def study_rows(results: Mapping[str, Any]) -> list[StudyRow]:
    """The rows of a study, in its order. Raises InputError for results without rows."""
    if not results.get("rows"):
        raise InputError("expected study results with rows; got none: 'flowvae study run NAME' makes them")
    names = metrics_of(results)
    provenance = results.get("provenance", {})
    rows: list[StudyRow] = []
    for record in results["rows"]:
        runs = record.get("runs", [])
        values = {name: _by_seed(runs, name) for name in names}
        first = rows[0].values if rows else {}
        rows.append(
            StudyRow(
                name=record["name"],
                label=record.get("label") or record["name"],
                seeds=tuple(sorted({run["seed"] for run in runs})),
                values=values,
                estimates={name: estimate(values[name].values()) for name in names},
                differences={name: paired_difference(first[name], values[name]) for name in names if first},
                binarise=_said(runs, "binarise", provenance.get("data", {}).get("binarise")),
                samples=_said(runs, "samples", provenance.get("evaluation", {}).get("samples")),
                published=record.get("published") or {},
            )
        )
    return rows


def study_table(results: Mapping[str, Any]) -> Table:
    """A study's table: mean over seeds, paired difference to the first row, published figures beside them.

    A study that crosses axes has its first metric in a cell for every combination of choices instead, the last axis
    across. Raises InputError for results without rows.
    """
    if results.get("axes"):
        return _crossed_table(results)
    rows, names = study_rows(results), metrics_of(results)
    columns = [Column("model", numeric=False)]
    for name in names:
        columns += [Column(metric(name).title), Column("difference\nto first row", below=True)]
    columns += [Column("binarisation", numeric=False), Column("K", below=True), Column("seeds", below=True)]
    columns += [Column("published\n" + ",\n".join(metric(name).title for name in names))]
    columns += [Column("source", numeric=False, below=True)]
    cells = []
    for row in rows:
        line = [row.label]
        for name in names:
            value, decimals = row.estimates[name], metric(name).decimals
            line.append(with_error(value.mean, value.error, decimals) if value else NONE)
            line.append(with_interval(row.differences[name], decimals) if row is not rows[0] else "")
        line += [row.binarise, row.samples, str(len(row.seeds)) if row.seeds else NONE]
        cells.append((*line, *_published(row.published, names)))
    compared = _compared(rows, names, results.get("pairs") or [])
    caption = " ".join([_study_caption(rows, names), *compared, *_left_out(results)])
    table = Table(tuple(columns), tuple(cells), caption, str(results.get("title", "")))
    return table.without_empty_columns()


def _compared(rows: Sequence[StudyRow], names: Sequence[str], pairs: Iterable[Sequence[str]]) -> list[str]:
    """A sentence for each pair of rows: the differences of their metrics, paired by seed."""
    found = {row.name: row for row in rows}
    said = []
    for one, other in ((found[one], found[other]) for one, other in pairs):
        figures = []
        for name in names:
            difference = paired_difference(other.values[name], one.values[name])
            if difference:
                interval = with_interval(difference, metric(name).decimals).replace("\n", " ")
                figures.append(f"{metric(name).title} {interval}")
        if figures:
            said.append(f"{one.label} minus {other.label}: {'; '.join(figures)}.")
    return said


def _crossed_table(results: Mapping[str, Any]) -> Table:
    *down, across = results["axes"]
    found = {row.name: row for row in study_rows(results)}
    grid = [
        (", ".join(label for _, label in choices), [found["-".join(name for name, _ in (*choices, x))] for x in across])
        for choices in product(*down)
    ]
    columns = list(zip(*(rows for _, rows in grid), strict=True))
    given = {name: values for name in metrics_of(results)[1:] if (values := _given(name, columns))}
    names = [name for name in metrics_of(results) if name not in given]
    titles = "\n".join(metric(name).title for name in names) if len(names) > 1 else ""
    cells = [(label, titles, *(_figures(row, names) for row in rows)) for label, rows in grid]
    cells += [
        (metric(name).title, "", *(number(value, metric(name).decimals) for value in values))
        for name, values in given.items()
    ]
    said = [f"{m.title}{', in nats' if m.nats else ''}." for m in map(metric, names)]
    if len(names) > 1:
        said = ["Nats per held-out datum where not said otherwise; lower is better."]
    seeds = max(len(row.seeds) for row in found.values())
    said += ["Mean over seeds, in parentheses its standard error." if seeds > 1 else "One seed."]
    samples = {row.samples for row in found.values() if row.seeds and "log_likelihood" in names} - {"1"}
    said += [f"log p(x) by importance sampling with K = {' / '.join(sorted(samples))} samples."] if samples else []
    heads = (Column("", numeric=False), Column("", numeric=False), *(Column(label) for _, label in across))
    caption = " ".join([*said, *_left_out(results)])
    return Table(heads, tuple(cells), caption, str(results.get("title", ""))).without_empty_columns()


def _given(name: str, columns: Iterable[Sequence[StudyRow]]) -> list[float]:
    """The metric in each column, where it is the same in all runs of every one: that of the data, not of the models."""
    values = [{value for row in column for value in row.values[name].values()} for column in columns]
    return [found.pop() for found in values] if all(len(found) == 1 for found in values) else []


def _figures(row: StudyRow, names: Iterable[str]) -> str:
    """The row's metrics, a line each."""
    estimates = ((row.estimates[name], metric(name).decimals) for name in names)
    return "\n".join(with_error(e.mean, e.error, decimals) if e else NONE for e, decimals in estimates)


def _left_out(results: Mapping[str, Any]) -> list[str]:
    """A sentence on the runs of other recipes, where there are any."""
    runs = [f"{row['name']} (seed {run['seed']})" for row in results.get("earlier", []) for run in row["runs"]]
    return [f"Left out, as made from other recipes: {', '.join(runs)}."] if runs else []


def runs_table(runs: Sequence[Run]) -> Table:
    """One line a run, from its evaluation; the standard error is over the held-out data, not over seeds."""
    titles = ["−ELBO", "−log p(x)", "gap", "rate", "distortion", "bits/dim", "ESS", "active units"]
    columns = (
        Column("run", numeric=False), *map(Column, titles), Column("data"), Column("binarisation", numeric=False),
        Column("K"), Column("epochs"),
    )  # fmt: skip
    cells = []
    for run in runs:
        e = run.evaluation or {}
        done, asked = run.epochs
        binarise = str(e.get("binarise") or run.environment.get("data", {}).get("binarise") or NONE)
        cells.append(
            (
                run.name,
                with_error(_shown(e, "elbo"), e.get("elbo_standard_error")),
                with_error(_shown(e, "log_likelihood"), e.get("standard_error")),
                *(number(_shown(e, name)) for name in ("gap", "rate", "distortion")),
                number(_shown(e, "bits_per_dim"), 3),
                number(_shown(e, "ess"), 1),
                _active(e.get("active_units")),
                number(e.get("count"), 0),
                binarise,
                number(e.get("samples"), 0),
                f"{done} / {asked}" if asked else str(done),
            )
        )
    caption = (
        "Nats per held-out datum, lower is better; in parentheses the standard error over the data. "
        "−ELBO = distortion + rate; gap = log p(x) − ELBO. log p(x) by importance sampling with K samples; "
        "ESS is their mean effective sample size. Figures on another binarisation are not comparable."
    )
    return Table(columns, tuple(cells), caption).without_empty_columns()


def _shown(record: Mapping[str, Any], name: str) -> float | None:
    value = record.get(name)
    return None if value is None else metric(name).sign * float(value)


def _active(value: Any) -> str:
    """Active units, one number a group."""
    counts: Iterable[Any] = value if isinstance(value, list) else [] if value is None else [value]
    return " + ".join(f"{count:g}" for count in counts) or NONE


def _by_seed(runs: Iterable[Mapping[str, Any]], name: str) -> dict[int, float]:
    """The finite values of a metric as shown, by seed."""
    shown = {run["seed"]: _shown(run, name) for run in runs}
    return {seed: value for seed, value in sorted(shown.items()) if value is not None and isfinite(value)}


def _said(runs: Iterable[Mapping[str, Any]], name: str, default: Any) -> str:
    """What the row's runs say of themselves, else what holds for the whole study."""
    said = sorted({str(run[name]) for run in runs if name in run})
    return " / ".join(said) or ("not recorded" if default is None else str(default))


def _published(published: Mapping[str, Any], names: Sequence[str]) -> tuple[str, str]:
    """The published figures and where they are from, with their binarisation: only the same one may be compared."""
    if not published:
        return "", ""
    figures = (with_error(_shown(published, n), published.get(f"{n}_se"), metric(n).decimals) for n in names)
    details = [
        str(published.get("source", "source not stated")),
        str(published.get("binarise", "binarisation not stated")),
    ]
    if "samples" in published:
        details.append(f"K = {published['samples']}")
    if "note" in published:
        details.append(str(published["note"]))
    return ",\n".join(figures), "; ".join(details)


def _study_caption(rows: Sequence[StudyRow], names: Sequence[str]) -> str:
    shown = [metric(name) for name in names]
    parts = ["Nats per held-out datum, lower is better." if any(m.nats for m in shown) else "Means on held-out data."]
    if max(len(row.seeds) for row in rows) > 1:
        parts.append(
            "Mean over seeds, in parentheses its standard error; difference to the first row paired by seed, with its "
            "standard error and, in brackets, its Student-t 95 % interval."
        )
    else:
        parts.append("One seed: no error over seeds and no interval.")
    if "log_likelihood" in names:
        said = sorted({row.samples for row in rows})
        parts.append(f"log p(x) by importance sampling with K{' = ' + said[0] if len(said) == 1 else ''} samples.")
    parts.append(f"Binarisation: {', '.join(dict.fromkeys(row.binarise for row in rows))}.")
    if any(row.published for row in rows):
        parts.append("Published figures are those of their source; only the same binarisation may be compared.")
    if empty := [row.label for row in rows if not row.seeds]:
        parts.append(f"No finished run yet: {', '.join(empty)}.")
    return " ".join(parts)
