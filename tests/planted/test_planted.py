"""Every planted bug is caught: the law holds without it, and fails with it."""

import pytest
import torch

from tests.planted.bugs import BUGS, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.says)
def test_it_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    bug.law()
    monkeypatch.setattr(bug.owner, bug.attribute, bug.wrong)
    torch.manual_seed(0)
    with pytest.raises(bug.fails):
        bug.law()
