"""Study results and runs as tables: nats per datum, lower is better, with the binarisation and K."""

from collections.abc import Mapping, Sequence
from typing import Any

from flowvae.report.crossed import crossed_table
from flowvae.report.metrics import as_shown, in_nats, metric, metrics_of
from flowvae.report.rendering import NONE, Column, Table, number, with_error, with_interval
from flowvae.report.rows import StudyRow, binarisation, compared, left_out, study_rows
from flowvae.report.runs import Run


def study_table(results: Mapping[str, Any]) -> Table:
    """A study's table: mean over seeds, paired difference to the first row, published figures beside them.

    A study that crosses axes has a table of another form, its `crossed_table`. Raises InputError for results without
    rows.
    """
    if results.get("axes"):
        return crossed_table(results)
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
    caption = " ".join([_study_caption(rows, names), *compared(rows, names, results), *left_out(results)])
    table = Table(tuple(columns), tuple(cells), caption, str(results.get("title", "")))
    return table.without_empty_columns()


def _published(published: Mapping[str, Any], names: Sequence[str]) -> tuple[str, str]:
    """The published figures and where they are from, with their binarisation: only the same one may be compared."""
    if not published:
        return "", ""
    figures = (with_error(as_shown(published, n), published.get(f"{n}_se"), metric(n).decimals) for n in names)
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
    parts = [in_nats(names)]
    seeds = max(len(row.seeds) for row in rows)
    if seeds > 1:
        parts.append(
            "Mean over seeds, in parentheses its standard error; difference to the first row paired by seed, with its "
            "standard error and, in brackets, its Student-t 95 % interval."
        )
    elif seeds:
        parts.append("One seed: no error over seeds and no interval.")
    if "log_likelihood" in names:
        said = sorted({row.samples for row in rows})
        parts.append(f"log p(x) by importance sampling with K{' = ' + said[0] if len(said) == 1 else ''} samples.")
    parts.append(binarisation(rows))
    if any(row.published for row in rows):
        parts.append("Published figures are those of their source; only the same binarisation may be compared.")
    if empty := [row.label for row in rows if not row.seeds]:
        parts.append(f"No finished run yet: {', '.join(empty)}.")
    return " ".join(parts)


def runs_table(runs: Sequence[Run]) -> Table:
    """One line a run, from its evaluation; the standard error is over the held-out data, not over seeds."""
    titles = ["−ELBO", "−log p(x)", "gap", "rate", "distortion", "bits/dim", "ESS", "active units"]
    columns = (
        Column("run", numeric=False), *map(Column, titles), Column("data", numeric=False),
        Column("binarisation", numeric=False),
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
                with_error(as_shown(e, "elbo"), e.get("elbo_standard_error")),
                with_error(as_shown(e, "log_likelihood"), e.get("standard_error")),
                *(number(as_shown(e, name)) for name in ("gap", "rate", "distortion")),
                number(as_shown(e, "bits_per_dim"), 3),
                number(as_shown(e, "ess"), 1),
                " + ".join("?" if n is None else str(n) for n in e.get("active_units", [])) or NONE,
                _data(e.get("count"), run.environment.get("data", {}).get("name")),
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
    if any("?" in line[8] for line in cells):
        caption += " Active units are ? where draws are too few to tell them from noise."
    return Table(columns, tuple(cells), caption).without_empty_columns()


def _data(count: int | None, name: str | None) -> str:
    """How many data of which name a run is evaluated on, as far as it is known."""
    return " of ".join(said for said in (number(count, 0) if count else "", name or "") if said) or NONE
