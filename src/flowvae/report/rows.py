"""The rows of a study's results: estimates over their seeds, and differences to the first row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from flowvae.errors import InputError
from flowvae.report.intervals import Estimate, estimate, paired_difference
from flowvae.report.metrics import as_shown, metric, metrics_of
from flowvae.report.rendering import with_interval


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


def study_rows(results: Mapping[str, Any]) -> list[StudyRow]:
    """The rows of a study, in its order. Raises InputError for results without rows."""
    if not results.get("rows"):
        raise InputError("expected study results with rows; got none: 'flowvae study run NAME' makes them")
    names = metrics_of(results)
    evaluated = results.get("provenance", {}).get("evaluation", {})
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
                binarise=_said((_data_of(run).get("binarise") for run in runs), _data_of(results).get("binarise")),
                samples=_said((run.get("samples") for run in runs), evaluated.get("samples")),
                published=record.get("published") or {},
            )
        )
    return rows


def compared(rows: Iterable[StudyRow], names: Sequence[str], results: Mapping[str, Any]) -> list[str]:
    """A sentence for each pair of rows that the study names: the differences of their metrics, paired by seed."""
    found = {row.name: row for row in rows}
    said = []
    for one, other in ((found[one], found[other]) for one, other in results.get("pairs") or []):
        figures = []
        for name in names:
            difference = paired_difference(other.values[name], one.values[name])
            if difference:
                interval = with_interval(difference, metric(name).decimals).replace("\n", " ")
                figures.append(f"{metric(name).title} {interval}")
        if figures:
            said.append(f"{one.label} minus {other.label}: {'; '.join(figures)}.")
    return said


def binarisation(rows: Iterable[StudyRow]) -> str:
    """A sentence on how the rows' data became bits."""
    return f"Binarisation: {', '.join(dict.fromkeys(row.binarise for row in rows))}."


def left_out(results: Mapping[str, Any]) -> list[str]:
    """A sentence on the runs of other recipes, where there are any."""
    runs = [f"{row['name']} (seed {run['seed']})" for row in results.get("earlier", []) for run in row["runs"]]
    return [f"Left out, as made from other recipes: {', '.join(runs)}."] if runs else []


def _by_seed(runs: Iterable[Mapping[str, Any]], name: str) -> dict[int, float]:
    """The finite values of a metric as shown, by seed."""
    shown = {run["seed"]: as_shown(run, name) for run in runs}
    return {seed: value for seed, value in sorted(shown.items()) if value is not None and isfinite(value)}


def _data_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run, or a study, says of its data."""
    data: Mapping[str, Any] = record.get("provenance", {}).get("data", {})
    return data


def _said(told: Iterable[Any], default: Any) -> str:
    """What the row's runs say of themselves, else what holds for the whole study."""
    said = sorted({str(value) for value in told if value is not None})
    return " / ".join(said) or ("not recorded" if default is None else str(default))
