"""The table of a study that crosses axes: a cell for every combination of choices, the last axis across."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from flowvae.report.metrics import in_nats, metric, metrics_of
from flowvae.report.rendering import NONE, Column, Table, number, with_error
from flowvae.report.rows import StudyRow, binarisation, compared, left_out, study_rows


def crossed_table(results: Mapping[str, Any]) -> Table:
    """The metrics of every combination; one that is of the data alone has a line below instead, but the first never.

    Raises InputError for results without rows.
    """
    found = {row.name: row for row in study_rows(results)}
    across = results["axes"][-1]
    grid = [(group, [found[name] for name in names]) for group, names in groups(results["axes"])]
    columns = list(zip(*(rows for _, rows in grid), strict=True))
    given = {name: values for name in metrics_of(results)[1:] if (values := _given(name, columns))}
    names = [name for name in metrics_of(results) if name not in given]
    titles = "\n".join(metric(name).title for name in names) if len(names) > 1 else ""
    cells = [(label, titles, *(_figures(row, names) for row in rows)) for label, rows in grid]
    cells += [
        (metric(name).title, "", *(number(value, metric(name).decimals) for value in values))
        for name, values in given.items()
    ]
    heads = (Column("", numeric=False), Column("", numeric=False), *(Column(label) for _, label in across))
    differences = compared(found.values(), names, results)
    if differences:
        differences.append("Differences are paired by seed; in brackets their Student-t 95 % intervals.")
    caption = " ".join([*_caption(found.values(), names), *differences, *left_out(results)])
    return Table(heads, tuple(cells), caption, str(results.get("title", ""))).without_empty_columns()


def groups(axes: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, list[str]]]:
    """The rows of a crossed study, by name: a group, with its label, for every combination but of the last axis."""
    *down, across = axes
    return [
        (", ".join(label for _, label in choices), ["-".join(name for name, _ in (*choices, x)) for x in across])
        for choices in product(*down)
    ]


def _given(name: str, columns: Iterable[Sequence[StudyRow]]) -> list[float]:
    """The metric in each column, where it is the same in all runs, of one column several: that of the data alone."""
    values = [[value for row in column for value in row.values[name].values()] for column in columns]
    alone = all(len(set(found)) == 1 for found in values) and any(len(found) > 1 for found in values)
    return [found[0] for found in values] if alone else []


def _figures(row: StudyRow, names: Iterable[str]) -> str:
    """The row's metrics, a line each."""
    estimates = ((row.estimates[name], metric(name).decimals) for name in names)
    return "\n".join(with_error(e.mean, e.error, decimals) if e else NONE for e, decimals in estimates)


def _caption(rows: Collection[StudyRow], names: Sequence[str]) -> list[str]:
    """What the figures are, a sentence each."""
    said = [f"{m.title}{', in nats' if m.nats else ''}." for m in map(metric, names)]
    if len(names) > 1:
        said = [in_nats(names)]
    seeds = sorted({len(row.seeds) for row in rows if row.seeds})
    if seeds and seeds[-1] > 1:
        said.append(f"Mean over {' or '.join(map(str, seeds))} seeds, in parentheses its standard error.")
    else:
        said.append("One seed." if seeds else "No finished run yet.")
    samples = {row.samples for row in rows if row.seeds and "log_likelihood" in names} - {"1"}
    said += [f"log p(x) by importance sampling with K = {' / '.join(sorted(samples))} samples."] if samples else []
    return [*said, binarisation(rows)]
