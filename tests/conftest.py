"""What every test starts from: checked distributions, one thread, a fixed seed."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Doctests are those of the package: helpers and scripts beside the tests are not searched for any."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None


@pytest.fixture(autouse=True)
def checked_distributions() -> None:
    """Arguments of torch distributions are validated, whatever a command run in this process switched off."""
    torch.distributions.Distribution.set_default_validate_args(True)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """A test draws the same numbers alone as among others."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed commands name the plugins that a test loads itself, and not those of tests before it."""
    monkeypatch.setattr("flowvae.registry.plugin._plugins", [])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real data sets (`mnist/` and others): $FLOWVAE_DATA, else `../shared/data` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FLOWVAE_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set FLOWVAE_DATA to the folder that holds mnist/")
    return folder
