"""Every sentence that a wrong specification can earn, and what the registry promises to a component."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from flowvae import InputError, build_model, registry
from flowvae.registry import Count, Fraction, Kind, NonNegative, Option, Positive, Spec, components, plugin, register

FLOW = "latents.posterior.flow"


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    forget(monkeypatch)


def forget(patch: pytest.MonkeyPatch) -> None:
    for kind in registry.PACKAGES:
        registry.names(kind)  # what is found under the patch would be forgotten with it
    patch.setattr(components, "_components", {kind: dict(known) for kind, known in components._components.items()})


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"posterior": {"flow": "iav"}}, f"{FLOW}: expected a flow; got 'iav'; did you mean 'iaf'?"),
        ({"posterior": {"flow": {"name": "iav"}}}, f"{FLOW}: expected a flow; got 'iav'; did you mean 'iaf'?"),
        ({"posterior": {"family": "diagonals"}}, "latents.posterior.family: expected a family; got 'diagonals'"),
        ({"name": "zzz"}, "latents: expected latents; got 'zzz'; expected one of "),
        (
            {"posterior": {"flow": {"name": "iaf", "step": 2}}},
            f"{FLOW}.step: 'iaf' has no such option; did you mean 'steps'?",
        ),
        ({"zzz": 2}, "latents.zzz: 'flat' has no such option; expected one of 'dim', 'posterior', 'prior'"),
        ({"prior": {"foo": 1}}, "latents.prior.foo: 'standard' has no such option; it has none: leave it out"),
        ({"dim": "many"}, "latents.dim: expected a valid integer; got 'many'"),
        ({"dim": 2.5}, "latents.dim: expected a valid integer; got 2.5"),
        ({"dim": True}, "latents.dim: expected a valid integer; got True"),
        ({"dim": "4"}, "latents.dim: expected a valid integer; got '4'"),
        ({"dim": 0}, "latents.dim: expected greater than or equal to 1; got 0"),
        ({"posterior": {"context": -1}}, "latents.posterior.context: expected greater than or equal to 0; got -1"),
        (
            {"posterior": {"flow": {"name": "iaf", "update": "gate"}}},
            f"{FLOW}.update: expected 'gated', 'affine' or 'constant-sigma'; got 'gate'",
        ),
        (
            {"posterior": {"flow": {"name": "iaf", "gate_bias": float("nan")}}},
            f"{FLOW}.gate_bias: expected a finite number; got nan",
        ),
        (
            {"posterior": {"flow": {"name": "iaf", "gate_bias": 11}}},
            f"{FLOW}.gate_bias: expected less than or equal to 10",
        ),
        ({"posterior": {"flow": {"steps": 2}}}, f"{FLOW}: expected a name, one of '"),
        ({"name": 3}, "latents: expected a name, one of "),
        (
            {"posterior": 3},
            "latents.posterior: expected a name or a table; got 3: write latents.posterior = { name = ... }",
        ),
        ({"posterior": {"flow": ["iaf"]}}, f"{FLOW}: expected a name or a table; got ['iaf']"),
    ],
    ids=str,
)
def test_a_wrong_specification_is_told_where_and_how(spec: dict[str, Any], sentence: str) -> None:
    for refuse in (
        lambda: registry.resolve("latents", {"name": "flat"} | spec),
        lambda: registry.build("latents", {"name": "flat"} | spec, 4),
        lambda: build_model({"latents": {"name": "flat"} | spec}, (4,)),
    ):
        with pytest.raises(InputError) as refusal:
            refuse()
        assert str(refusal.value).startswith(sentence)
        assert "\n" not in str(refusal.value)


def test_an_unknown_kind_is_told() -> None:
    for refuse in (lambda: registry.names("flows"), lambda: register("flows", "x")):
        with pytest.raises(InputError, match=r"^expected a kind of component; got 'flows'; did you mean 'flow'\?$"):
            refuse()


def test_an_unknown_table_of_a_model_is_told() -> None:
    with pytest.raises(InputError, match=r"^expected a table of a model; got 'latent'; did you mean 'latents'\?$"):
        build_model({"latent": {}}, (4,))
    with pytest.raises(InputError, match=r"^encoder: expected a name or a table; got 500: write"):
        build_model({"encoder": 500}, (4,))


def test_defaults_are_filled_in_at_every_depth() -> None:
    assert registry.resolve("latents", {"name": "flat", "posterior": {"flow": "planar"}}) == {
        "name": "flat",
        "dim": 32,
        "prior": {"name": "standard"},
        "posterior": {
            "name": "gaussian",
            "family": {"name": "diagonal"},
            "flow": {"name": "planar", "steps": 8, "parameters": "auto"},
            "context": 64,
        },
    }
    assert registry.resolve("latents", None, default="flat") == registry.resolve("latents", "flat")


def test_a_specification_is_not_changed() -> None:
    spec = {"name": "flat", "posterior": {"flow": {"name": "iaf"}}}
    registry.build("latents", spec, 4)
    assert spec == {"name": "flat", "posterior": {"flow": {"name": "iaf"}}}


def test_signatures_are_the_schema(scratch: None) -> None:
    @register("flow", "example")
    class Example:
        """An example."""

        def __init__(
            self,
            event_shape: tuple[int, ...],
            context: int = 0,
            *,
            count: Count = 1,
            more: NonNegative = 0,
            size: Positive = 0.5,
            share: Fraction = 1.0,
            seed: registry.Seed = 0,
            mode: Literal["a", "b"] = "a",
            inner: Annotated[Spec | None, Kind("flow")] = None,
        ):
            self.given = (event_shape, context, count, more, size, share, seed, mode, inner)

    assert "example" in registry.names("flow")
    assert registry.describe("flow", "example") == "An example."
    assert registry.options("flow", "example") == [
        Option("count", "int >= 1", 1, None),
        Option("more", "int >= 0", 0, None),
        Option("size", "float > 0", 0.5, None),
        Option("share", "float >= 0 <= 1", 1.0, None),
        Option("seed", "int >= 0", 0, None),
        Option("mode", "'a' | 'b'", "a", None),
        Option("inner", "flow or none", None, "flow"),
    ]
    built = registry.build("flow", {"name": "example", "size": 2, "inner": "planar"}, (3,), 5)
    assert built.given == ((3,), 5, 1, 0, 2.0, 1.0, 0, "a", {"name": "planar", "steps": 8, "parameters": "auto"})
    for option, value in {
        "count": 0,
        "more": -1,
        "size": 0.0,
        "share": 1.1,
        "seed": 2**63,
        "mode": "c",
        "inner": "c",
    }.items():
        with pytest.raises(InputError, match=rf"^flow\.{option}: expected "):
            registry.resolve("flow", {"name": "example", option: value})


def test_a_name_is_taken_once(scratch: None) -> None:
    def mine() -> None:
        """Another."""

    for name in ("iaf", "planar"):
        with pytest.raises(InputError, match=rf"^expected a new name; got '{name}', which is a flow already"):
            register("flow", name)(mine)
    assert register("flow", "mine")(mine) is mine
    assert register("flow", "mine")(mine) is mine  # a module read twice is no conflict


PLUGIN = '''
from flowvae.flows import Flow
from flowvae.registry import Count, register
from flowvae.transforms import Composed

@register("flow", "{name}")
class Still(Flow):
    """The identity."""

    def __init__(self, event_shape, context=0, *, steps: Count = 1):
        super().__init__(event_shape, context)

    def forward(self, h=None):
        return Composed([])
'''


def test_a_plugin_adds_a_component_and_may_be_read_again(scratch: None, tmp_path: Path) -> None:
    path = tmp_path / "still.py"
    path.write_text(PLUGIN.format(name="still"))
    for _ in range(2):
        registry.load_plugin(path)
    assert "still" in registry.names("flow")
    assert build_model({"latents": {"posterior": {"flow": {"name": "still", "steps": 2}}}}, (4,)).sample(2).shape == (
        2,
        4,
    )
    with pytest.raises(InputError, match="did you mean 'still'"):
        registry.resolve("flow", "stil")


def test_a_plugin_may_not_take_a_name_even_if_it_comes_first(tmp_path: Path) -> None:
    """In a process of its own, where nothing has asked for the library's flows yet."""
    path = tmp_path / "thief.py"
    path.write_text(PLUGIN.format(name="iaf"))
    command = f"from flowvae import registry; registry.load_plugin({str(path)!r})"
    process = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert "InputError: expected a new name; got 'iaf', which is a flow already" in process.stderr


@pytest.mark.parametrize(
    ("name", "remedy"), [("absent.py", "check the path"), ("notes.txt", "ends in .py"), ("", "path")]
)
def test_what_is_no_plugin_is_refused(name: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match=rf"^expected a Python file; got .*{remedy}"):
        registry.load_plugin(tmp_path / name)


def test_other_tables_are_validated_alike() -> None:
    class Table(BaseModel):
        count: Count = 1

    assert registry.validated(Table, {"count": 2}, "table").count == 2
    with pytest.raises(InputError, match=r"^table.cuont: no such option; did you mean 'count'\?$"):
        registry.validated(Table, {"cuont": 2}, "table")
    with pytest.raises(InputError, match=r"^table.count: expected greater than or equal to 1; got 0$"):
        registry.validated(Table, {"count": 0}, "table")


@pytest.mark.parametrize("empty", ["none", {"name": "none"}, None])
def test_an_optional_slot_is_emptied_by_none(empty: Any) -> None:
    """As `show` prints the default, so it can be set; a slot that must be filled takes no such name."""
    found = registry.resolve("latents", {"name": "flat", "posterior": {"name": "gaussian", "flow": empty}})
    assert found["posterior"]["flow"] is None
    with pytest.raises(InputError, match=r"latents\.posterior\.family: expected a family; got 'none'"):
        registry.resolve("latents", {"name": "flat", "posterior": {"family": "none"}})


def test_an_article_fits_its_noun() -> None:
    with pytest.raises(InputError, match="expected an encoder; got 'x'"):
        registry.component("encoder", "x")


def test_plugins_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "_plugins", [])
    mine = tmp_path / "mine.py"
    mine.write_text("")
    registry.load_plugin(mine)
    assert registry.plugins() == (mine,)
    (tmp_path / "my own.py").write_text("")
    registry.load_plugin(tmp_path / "my own.py")
    said = registry.command_line("evaluate", "a run", "-k", 5)
    assert said == f"flowvae evaluate 'a run' -k 5 --plugin {mine} --plugin '{tmp_path / 'my own.py'}'"
    monkeypatch.chdir(tmp_path)
    assert registry.command_line("list") == "flowvae list --plugin mine.py --plugin 'my own.py'"
