"""Bad input anywhere: exit code 2 and one sentence with the remedy, never a traceback, and nothing is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import SMALL, environment

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("trian", "expected a command of 'flowvae'; got 'trian'; did you mean 'train'?"),
        ("train", "expected RECIPE for 'flowvae train'; got none: see 'flowvae train --help'"),
        ("train digits", "expected --out for 'flowvae train'; got none"),
        ("train digits --uot x", "expected an option of 'flowvae train'; got '--uot'; did you mean '--out'?"),
        ("train digits --out", "option '--out' requires an argument: see 'flowvae --help'"),
        ("train digits --out x --set foo", "expected a change as a.b=c; got 'foo': write --set"),
        ("train digts --out x", "expected a recipe by name or a TOML file; got 'digts'; did you mean 'digits'?"),
        ("train no.toml --out x", "expected a recipe as a TOML file; got 'no.toml', which is no file: check the path"),
        ("train digits --out x --data no.npy", "expected a file or a folder; got 'no.npy', which does not exist"),
        ("train digits --out x --plugin no.py", "expected a Python file; got 'no.py'"),
        ("train digits --out x --set latents.name=graph --set latents.gates=opn", "expected gates; got 'opn'"),
        ("train digits --out x --data-dir .", "data.dir: 'digits' has no such option"),
        ("evaluate no", "expected the folder of a run; got 'no'"),
        ("evaluate no --samples 0", "--samples: expected greater than or equal to 1; got 0"),
        ("evaluate no --samples many", "--samples: expected a valid integer; got many"),
        (f"evaluate no --seed {10**20}", f"--seed: expected less than or equal to {2**63 - 1}; got {10**20}"),
        (f"sample no -o x.png --seed {10**20}", "--seed: expected less than or equal to"),
        (
            f"train digits --out x --set seed={10**20}",
            f"seed: expected less than or equal to {2**63 - 1}; got {10**20}",
        ),
        (f"train digits --out x --set data.seed={10**20}", "data.seed: expected less than or equal to"),
        (f"train digits --out x --set latents.dim={10**20}", "expected a model that fits in memory; got one beyond"),
        ("train digits --out x --set encoder.width=1000000000000", "for a single array: lower its sizes"),
        (
            f"train moons --out x --set data.count={10**13}",
            "expected a data set that fits in memory; got one that takes 72.8 TiB for a single array: take fewer data",
        ),
        (f"train moons --out x --set data.count={10**20}", "expected a data set that fits in memory; got one beyond"),
        (f"train digits --out x --set objective.samples={10**12}", "expected a step that fits in memory; got one that"),
        (
            "train digits --out x --set optimiser.betas=[0.9]",
            "optimiser.betas.1: expected a value (entries count from 0)",
        ),
        ("sample no -o x.gif", "expected a name that ends in .png"),
        ("sample no -o .", "expected a name that ends in"),
        ("sample no -o x.png -n 0", "-n: expected greater than or equal to 1; got 0"),
        ("sample no -o x.png -t -1", "--temperature: expected greater than or equal to 0"),
        ("encode no -o z.txt", "expected a name that ends in .npz; got 'z.txt'"),
        ("score no -o p.npz", "expected a name that ends in .csv"),
        ("show ifa", "expected the name of a component; got 'ifa'; did you mean 'iaf'?"),
        ("show flow/planr", "expected a flow; got 'planr'; did you mean 'planar'?"),
        ("show flw/planar", "expected a kind of component; got 'flw'; did you mean 'flow'?"),
        ("check ", "expected a file or a folder; got an empty name"),
        ("check no.csv", "expected a file or a folder; got 'no.csv', which does not exist"),
        ("study rn", "expected a command of 'flowvae study'; got 'rn'; did you mean 'run'?"),
        (
            "study run digit-demo",
            "expected a study by name or a TOML file; got 'digit-demo'; did you mean 'digits-demo'?",
        ),
        (
            "study run digits-demo --rows ifa",
            "expected a row of the study 'digits-demo'; got 'ifa'; did you mean 'iaf'?",
        ),
        ("study run digits-demo --seeds 0,x", "expected seeds as 0,1,2; got 'x'"),
        ("study run digits-demo --seeds ,", "expected names with commas between them; got ','"),
        ("study run digits-demo --rows ,", "expected names with commas between them; got ','"),
        ("train tokens --out x --data digits", "choose sequences, or a recipe of other data, as 'digits' is"),
        ("train digits --out x --data=", "expected a data set or the path of a file; got an empty name"),
        (
            "study run digits-demo --seeds 0 --jobs 1 --seeds 1",
            "expected --seeds once; got it again: give it one value",
        ),
        ("train digits --out x --out=y", "expected --out once; got it again"),
        ("sample no -ox.png -n3 -n4", "expected -n once; got it again"),
        ("study run digits-demo --data-dir nowhere", "expected a folder that holds data for --data-dir; got 'nowhere'"),
        ("train mnist-vae --out x --data-dir nowhere", "for --data-dir; got 'nowhere': check the path"),
        ("study run digits-demo --jobs 0", "--jobs: expected greater than or equal to 1"),
        ("study table mnist-mlp", "make them with 'flowvae study run mnist-mlp'"),
        ("study table mnist-mlp --format pdf", "--format: 'pdf' is not one of 'text', 'markdown', 'html', 'json'"),
        ("report mnist-ml", "expected a study, or the folder of a run; got 'mnist-ml'; did you mean 'mnist-mlp'?"),
        ("study table mnist-ml", "got 'mnist-ml'; did you mean 'mnist-mlp'?"),
        ("report . mnist-mlp", "expected folders of runs, or one study; got 'mnist-mlp', which is no folder"),
        ("report . -o page.pdf", "expected a name that ends in .html"),
        ("report .", "config.toml"),
    ],
)
def test_mistakes(arguments: str, said: str, refused: Refused, tmp_path: Path) -> None:
    assert said in refused(*arguments.split(" "))
    assert list(tmp_path.iterdir()) == []


def test_the_same_as_a_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flowvae", "train", "digits", "--out", "x", "--set", "latents.dmi=3"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "flowvae: latents.dmi: 'flat' has no such option; did you mean 'dim'?\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "flowvae", "list"]
        done = subprocess.run(command, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "flowvae: expected to write; got: No space left on device\n")


def test_a_run_is_never_overwritten(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("precious")
    said = refused("train", "digits", "--out", "run", *SMALL)
    assert "'run', which holds files" in said
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
    (tmp_path / "file").touch()
    assert "got the file 'file'" in refused("train", "digits", "--out", "file", *SMALL)


def test_arrays_and_tables_are_never_overwritten(refused: Refused, trained: Path, tmp_path: Path) -> None:
    for name, arguments in {"z.npz": ("encode",), "p.csv": ("score",), "x.npz": ("sample",)}.items():
        (tmp_path / name).write_text("precious")
        assert f"expected a new file; got '{name}', which exists" in refused(*arguments, trained, "-o", name)
        assert (tmp_path / name).read_text() == "precious"


def test_what_cannot_be_written_is_refused_before_the_work(
    refused: Refused, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for place in ("file/p.csv", "file/deeper/p.csv"):
        assert f"expected a folder that can be written to; got '{Path(place).parent}'" in refused(
            "score", trained, "-o", place
        )

    def refuse(dir: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    before = (trained / "evaluation.json").read_bytes()
    for command in ("evaluate", "reconstruct"):
        assert f"expected a folder that can be written to; got '{trained}' (Permission denied)" in refused(
            command, trained
        )
    assert (trained / "evaluation.json").read_bytes() == before


def test_data_of_another_shape_or_kind(refused: Refused, trained: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).random((40, 5)).round())
    assert "expected data of shape (1, 8, 8), as the run was trained on; got (5,)" in refused(
        "score", trained, "--data", "wide.npy", "-o", "p.csv"
    )
    np.save(tmp_path / "grey.npy", np.random.default_rng(0).integers(0, 255, (40, 1, 8, 8)))
    assert "use --set data.scale=255" in refused("score", trained, "--data", "grey.npy", "-o", "p.csv")
    assert "use --set data.scale=255" in refused("train", "digits", "--data", "grey.npy", "--out", "run")
    assert not (tmp_path / "run").exists()
    assert "expected a change of data on a trained run" in refused("evaluate", trained, "--set", "latents.dim=3")
    assert "expected 'train', 'validation' or 'test'; got 'tset'" in refused("evaluate", trained, "--split", "tset")


def test_a_torn_recipe_and_torn_weights(refused: Refused, tmp_path: Path, trained: Path) -> None:
    (tmp_path / "torn.toml").write_text("[data\nname = 3")
    assert "expected TOML in 'torn.toml'" in refused("train", "torn.toml", "--out", "run")
    for name in ("config.toml", "environment.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "best.safetensors").write_bytes((trained / "best.safetensors").read_bytes()[:100])
    assert "expected a safetensors file" in refused("evaluate", ".")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.toml", "[latents\n", "expected config.toml as a run writes it; got"),
        ("environment.json", '{"data": ', "expected environment.json as a run writes it; got"),
        ("environment.json", "{}", "expected environment.json with an entry 'data'; got none"),
        ("environment.json", None, "expected environment.json in the folder of a run; got no such file"),
        ("journal.jsonl", '{"kind": "event"}\n{"kind\n', "expected a record in line 2 of"),
    ],
)
def test_a_damaged_run(
    name: str, content: str | None, said: str, refused: Refused, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation.json"))
    (tmp_path / "run" / name).unlink()
    if content is not None:
        (tmp_path / "run" / name).write_text(content)
    told = refused("evaluate", "run")
    assert said in told
    assert ": restore the file from a copy" in told
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_a_study_of_ones_own_is_run_by_its_file(refused: Refused, tmp_path: Path) -> None:
    text = files("flowvae").joinpath("studies", "digits-demo.toml").read_text()
    (tmp_path / "mine.toml").write_text(text)
    assert "make them with 'flowvae study run mine.toml'" in refused("study", "table", "mine.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nimport not_installed\n", "got ModuleNotFoundError in 'mine.py' at line 2, No module named 'not_installed'"),
        ("def broken(:\n", "got SyntaxError in 'mine.py' at line 1, "),
        ("def inner():\n    return 1 / 0\n\n\ninner()\n", "got ZeroDivisionError in 'mine.py' at line 2, division"),
    ],
)
def test_a_plugin_that_fails(text: str, said: str, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert f"expected a Python file that runs; {said}" in refused("list", "--plugin", "mine.py")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "Permission denied" in refused("train", "digits", "--out", "locked/run", *SMALL)


def test_the_reader_may_stop_reading(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m flowvae show recipe/mnist-iaf | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
