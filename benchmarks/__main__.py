"""``python -m benchmarks`` measures, and writes results; ``python -m benchmarks table`` shows them."""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import memory, pictures, rounds, table
from benchmarks.contests import contests
from benchmarks.provenance import provenance
from benchmarks.settings import QUICK, Settings

RESULTS = Path(__file__).parent / "results" / "speed.json"


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["table"]:
        show(table_parser().parse_args(arguments[1:]))
        return
    args = parser().parse_args(arguments)
    settings = QUICK if args.quick else Settings()
    if args.rounds:
        settings = replace(
            settings, training_rounds=args.rounds, evaluation_rounds=args.rounds, flow_rounds=args.rounds
        )
    results = measure(settings, args.only, " ".join(["python -m benchmarks", *arguments]))
    out = args.out or (None if args.quick else RESULTS)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table.report([results]), end="")


def show(args: argparse.Namespace) -> None:
    """Print the tables, or write them into pages."""
    paths = args.results or sorted(RESULTS.parent.glob("*.json"), reverse=True)
    if not paths:
        raise SystemExit("expected results in benchmarks/results; got none: python -m benchmarks makes them")
    text = table.report([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    for page in args.into:
        table.fill(page, text)
    if not args.into:
        print(text, end="")


def measure(settings: Settings, only: list[str], command: str) -> dict[str, Any]:
    """Run the contests, all or those named in ``only``, one after the other."""
    began = time.perf_counter()
    made = provenance(command, settings)
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "pictures.npz"
        pictures.write(data, settings)
        chosen = [contest for contest in contests(settings) if contest.name in only or not only]
        records = [rounds.run(contest, settings, data, folder, say) for contest in chosen]
        used = memory.run(settings, data, folder) if "memory" in only or not only else []
    made["seconds"] = round(time.perf_counter() - began)
    return {"settings": asdict(settings), "contests": records, "memory": used, "provenance": made}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    names = [contest.name for contest in contests(QUICK)] + ["memory"]
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke test on tiny nets; results are only shown")
    options.add_argument("--rounds", type=int, help="rounds of every contest")
    options.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names))
    options.add_argument("--out", type=Path, help=f"results file (default: {RESULTS.name} in benchmarks/results)")
    return options


def table_parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks table", description="results as Markdown")
    options.add_argument("results", type=Path, nargs="*", help="results files (default: all in benchmarks/results)")
    options.add_argument(
        "--into", type=Path, nargs="+", default=[], metavar="PAGE", help="fill the marked block of these pages"
    )
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
