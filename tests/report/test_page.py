import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowvae.errors import InputError
from flowvae.report import page as page_module
from flowvae.report.kept import kept_figures
from flowvae.report.page import write_report

LOADS = {"src", "href", "srcset", "action", "data", "poster", "background"}


class Page(HTMLParser):
    """What a page loads, its text by section, its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text: dict[str, str] = {}
        self.section = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attributes if name in LOADS]
        if tag == "section":
            self.section = dict(attributes)["id"] or ""

    def handle_data(self, data: str) -> None:
        self.text[self.section] = self.text.get(self.section, "") + data


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_page_has_every_section_of_a_complete_run(make_run, tmp_path: Path) -> None:
    out = write_report([make_run(tmp_path / "iaf")], tmp_path / "new" / "report.html")
    found = page(out)
    for section in ("summary", "curves", "samples", "reconstructions", "kl", "provenance", "config"):
        assert section in found.text
    assert "missing" not in found.text
    assert found.tags.count("img") == 4
    assert "30.00 (0.33)" in found.text["summary"]
    for said in ("flowvae train mlp-iaf", "0123456789abcdef", "torch 2.6.0", "Some CPU", "ab" * 32, "binarise dynamic"):
        assert said in found.text["provenance"]
    assert 'name = "iaf"' in found.text["config"]
    assert "do not add up to the rate" in found.text["kl"]


def test_page_loads_nothing_from_outside(make_run, results: dict[str, Any], tmp_path: Path) -> None:
    folders = [make_run(tmp_path / row / f"seed-{s}", seed=s) for row in ("diagonal", "iaf") for s in (0, 1)]
    out = write_report(folders, tmp_path / "report.html", results)
    html, found = out.read_text(), page(out)
    for load in found.loads:
        assert load.startswith(("data:image/png;base64,", "#")), load[:80]
    assert not {"script", "link", "iframe", "object", "embed"} & set(found.tags)
    assert "default-src 'none'" in html
    style = re.sub(r"data:image/png;base64,[\w+/=]+", "", html)
    assert not re.search(r"url\(|@import|https?:", style)
    images = re.findall(r"data:image/png;base64,([\w+/=]+)", html)
    assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)


def test_unfinished_run_gives_a_page_that_says_what_is_missing(make_run, tmp_path: Path) -> None:
    without = ("evaluation.json", "samples.npz", "reconstructions.npz", "best.safetensors")
    folder = make_run(tmp_path / "killed", stop=9, without=without)
    found = page(write_report([folder], tmp_path / "report.html"))
    assert found.tags.count("img") == 1  # the curves
    assert "epochs 10 to 40 of the training" in found.text["missing"]
    assert f"flowvae evaluate {folder}" in found.text["missing"]
    for section, said in (
        ("samples", "No samples yet"),
        ("reconstructions", "No reconstructions yet"),
        ("kl", "No KL"),
    ):
        assert said in found.text[section]


def test_run_of_a_config_alone_gives_a_page(make_run, tmp_path: Path) -> None:
    without = (
        "evaluation.json",
        "samples.npz",
        "reconstructions.npz",
        "best.safetensors",
        "environment.json",
        "journal.jsonl",
    )
    found = page(write_report([make_run(tmp_path / "new", without=without)], tmp_path / "report.html"))
    assert "img" not in found.tags
    assert "provenance (environment.json)" in found.text["missing"]
    assert "No curves yet" in found.text["curves"]


def test_hostile_words_stay_words(make_run, results: dict[str, Any], tmp_path: Path) -> None:
    hostile = '</pre><script>alert("x")</script><img src="https://example.org/x.png">'
    folder = make_run(tmp_path / "iaf")
    config = folder / "config.toml"
    config.write_text(config.read_text() + f"note = '''{hostile}'''\n")
    results["title"] = results["description"] = results["rows"][0]["label"] = hostile
    found = page(write_report([folder], tmp_path / "report.html", results))
    assert "script" not in found.tags
    assert hostile in found.text["config"]
    assert hostile in found.text["summary"]
    assert not any("example.org" in load for load in found.loads)


def test_what_runs_share_is_told_once_and_what_differs_in_a_table(make_run, tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "a", flow="iaf"), make_run(tmp_path / "b", flow="planar", seed=5)]
    found = page(write_report(folders, tmp_path / "report.html"))
    assert found.text["provenance"].count("Some CPU") == 1
    config = found.text["config"]
    assert "latents.\nposterior.\nflow.\nname" in config
    assert "latents.\ndim" not in config  # equal in both: only the texts of the configs say it


def test_many_differences_go_down_the_page(make_run, tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "a", flow="iaf", epochs=40), make_run(tmp_path / "b", flow="planar", epochs=50)]
    config = folders[1] / "config.toml"
    config.write_text(config.read_text().replace("batch_size = 100", "batch_size = 50"))
    html = write_report(folders, tmp_path / "report.html").read_text()
    table = html[html.index("What differs between runs", html.index('id="config"')) :]
    assert "<th></th><th>a</th><th>b</th>" in table
    assert "<td>training.epochs</td><td>40</td><td>50</td>" in table


def test_study_shows_its_table_and_one_seed_of_each_row(make_run, results: dict[str, Any], tmp_path: Path) -> None:
    folders = [make_run(tmp_path / row / f"seed-{s}", seed=s) for row in ("diagonal", "iaf") for s in (0, 1)]
    found = page(write_report(folders, tmp_path / "report.html", results))
    assert "−0.59 (0.06)" in found.text["summary"]
    assert "iaf/seed-1" in found.text["summary"]
    assert "iaf/seed-0" in found.text["samples"]
    assert "iaf/seed-1" not in found.text["samples"]


def test_study_without_runs_on_this_machine_gives_its_table(results: dict[str, Any], tmp_path: Path) -> None:
    found = page(write_report([], tmp_path / "report.html", results))
    assert "31.52 (0.25)" in found.text["summary"]
    assert found.tags.count("img") == 1


def test_study_whose_folders_are_elsewhere_is_drawn_from_its_results(results: dict[str, Any], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((10, 8, 8))
    np.savez(tmp_path / "s.npz", **{f"iaf/{kind}": pixels for kind in ("samples", "originals", "means")})
    (tmp_path / "s-curves.json").write_text(
        json.dumps({"iaf": {"0": [[1, -40.0, -41.0, 3.0], [2, -35.0, -36.0, 5.0]]}})
    )
    kept = kept_figures(tmp_path, "s", results)
    found = page(write_report([], tmp_path / "report.html", results, kept=kept, elsewhere={"iaf, seed 0": "run <it>"}))
    assert found.tags.count("img") == 4  # the chart, curves, samples, reconstructions
    for section in ("curves", "samples", "reconstructions"):
        assert "yet" not in found.text[section]
    assert "No KL per dimension yet" in found.text["kl"]
    assert "the run's folder" in found.text["missing"]
    assert "run <it>" in found.text["missing"]
    assert "study run digits-demo at commit 0123456789, finished on 2026-03-01" in found.text["provenance"]
    assert "config" not in found.text


def test_curves_of_a_crossed_study_have_a_row_of_panels_a_group(results: dict[str, Any], tmp_path: Path) -> None:
    """A training line is missing where a short epoch ends between two of them: the curve goes on."""
    results["axes"] = [[["one", "1 step"], ["two", "2 steps"]], [["a", "A"], ["b", "B"]]]
    run = results["rows"][0]["runs"][0]
    names = ["one-a", "one-b", "two-a", "two-b"]
    results["rows"] = [{"name": name, "label": name, "runs": [run]} for name in names]
    points = [[1, -40.0, -41.0, 3.0], [2, None, -36.0, 5.0], [3, -34.0, -35.0, 5.0]]
    record = {name: {str(run["seed"]): points} for name in names if name != "two-b"}
    (tmp_path / "s-curves.json").write_text(json.dumps(record))
    panels = kept_figures(tmp_path, "s", results)["curves"].axes
    assert [axes.get_title("left").split(",")[0] for axes in panels] == ["1 step"] * 3 + ["2 steps"] * 3
    assert len(panels[0].lines) == 2 * 3  # training, validation, the best
    assert len(panels[3].lines) == 3
    assert panels[0].lines[0].get_xdata().tolist() == [1, 3]


def test_curves_and_pictures_of_other_recipes_are_not_drawn(results: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", **{"iaf/samples": np.ones((4, 8, 8))})
    (tmp_path / "s-curves.json").write_text(json.dumps({"iaf": {"0": [[1, -40.0, -41.0, 3.0]]}}))
    assert {"samples", "curves"} <= kept_figures(tmp_path, "s", results).keys()
    results["rows"][2]["runs"] = []
    assert kept_figures(tmp_path, "s", results).keys() == {"rows"}


def test_nothing_to_report_and_a_folder_to_write_are_refused(make_run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"flowvae report RUN"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(InputError, match=r"report\.html"):
        write_report([make_run(tmp_path / "iaf")], tmp_path)
    with pytest.raises(InputError, match="no config"):
        write_report([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("shape", [(3, 8, 8), (12,), (6, 6)])
def test_every_kind_of_event_has_its_pictures(make_run, tmp_path: Path, shape: tuple[int, ...]) -> None:
    folder = make_run(tmp_path / "run", shape=shape, dims=(4, 70, 3))
    assert page(write_report([folder], tmp_path / "report.html")).tags.count("img") == 4


def test_runs_share_a_scale_where_they_share_their_data(make_run, tmp_path: Path, monkeypatch) -> None:
    """Errors and KL of the third run, which is of other data, are larger."""
    folders = [make_run(tmp_path / name) for name in "abc"]
    for number, folder in enumerate(folders, 1):
        x = np.random.default_rng(0).random((12, 1, 8, 8))
        np.savez(folder / "reconstructions.npz", originals=x, means=x + 0.01 * number**3)
        evaluation = json.loads((folder / "evaluation.json").read_text())
        evaluation["kl_per_dimension"] = [[0.1 * number**3, 0.0]]
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    environment = json.loads((folders[2] / "environment.json").read_text())
    environment["data"] |= {"name": "others", "digest": "cd" * 32}
    (folders[2] / "environment.json").write_text(json.dumps(environment))
    scales: dict[str, list[float]] = {"worst": [], "top": []}
    for name, option in (("reconstructions", "worst"), ("kl_per_dimension", "top")):
        drawn = getattr(page_module, name)

        def watch(*given: Any, drawn: Any = drawn, option: str = option, **options: Any) -> Any:
            scales[option].append(options[option])
            return drawn(*given, **options)

        monkeypatch.setattr(page_module, name, watch)
    found = page(write_report(folders, tmp_path / "report.html"))
    assert scales["worst"] == pytest.approx([0.08, 0.08, 0.27])
    assert scales["top"] == pytest.approx([0.8, 0.8, 2.7])
    assert "of digits" in found.text["summary"]
    assert "of others" in found.text["summary"]
