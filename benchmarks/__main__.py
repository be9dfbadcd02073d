"""``python -m benchmarks`` measures, and writes results; ``python -m benchmarks table`` shows them."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import memory, pictures, rounds, table
from benchmarks.contests import NATIVE, contests
from benchmarks.provenance import provenance
from benchmarks.settings import QUICK, Settings

RESULTS = Path(__file__).parent / "results"


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
    out = args.out or (None if args.quick else RESULTS if NATIVE else RESULTS / "no-bf16")
    print(table.report(list(measure(settings, args.only, " ".join(["python -m benchmarks", *arguments]), out))), end="")


def show(args: argparse.Namespace) -> None:
    """Print the tables, or write them into pages."""
    paths = sorted(args.results.rglob("*.json"))
    if not paths:
        raise SystemExit(f"expected results in {args.results}; got none: python -m benchmarks makes them")
    text = table.report([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    for page in args.into:
        table.fill(page, text)
    if not args.into:
        print(text, end="")


def measure(settings: Settings, only: list[str], command: str, out: Path | None) -> Iterator[dict[str, Any]]:
    """Run the contests, all or those named in ``only``, one after the other; each has a file of its own in ``out``."""
    made = {"settings": asdict(settings), "provenance": provenance(command, settings.threads)}
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "pictures.npz"
        pictures.write(data, settings)
        for contest in contests(settings):
            if contest.name in only or not only:
                yield kept(out, {"contest": rounds.run(contest, settings, data, folder, say), **made})
        if "memory" in only or not only:
            yield kept(out, {"memory": memory.run(settings, data, folder), **made})


def kept(out: Path | None, result: dict[str, Any]) -> dict[str, Any]:
    """The result, written into the folder ``out`` if there is one."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{table.name_of(result)}.json"
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    names = [contest.name for contest in contests(QUICK)] + ["memory"]
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke test on tiny nets; results are only shown")
    options.add_argument("--rounds", type=int, help="rounds of every contest")
    options.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names))
    options.add_argument(
        "--out",
        type=Path,
        help="folder of results, one file a contest (default: benchmarks/results, without bfloat16 its no-bf16)",
    )
    return options


def table_parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks table", description="results as Markdown")
    options.add_argument("results", type=Path, nargs="?", default=RESULTS, help="folder (default: benchmarks/results)")
    options.add_argument(
        "--into", type=Path, nargs="+", default=[], metavar="PAGE", help="fill the marked block of these pages"
    )
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
