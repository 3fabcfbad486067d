from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lighter.errors import ConfigError
from lighter.runs.checkpoints.of_run import Saved
from lighter.runs.resume.position import position_of

BEGUN: dict[str, Any] = {"global_step": 5, "loops": {}, "optimizer_states": []}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {**BEGUN, "global_step": "5"},
        {**BEGUN, "loops": []},
        BEGUN,
        {**BEGUN, "loops": {"fit_loop": 3}},
        {**BEGUN, "loops": {"fit_loop": {"epoch_progress": {}}}},
    ],
)
def test_what_no_fit_has_saved_is_refused(content: dict[object, object]) -> None:
    with pytest.raises(ConfigError, match=r"'x.ckpt' is not a Lightning checkpoint"):
        position_of(Saved(Path("x.ckpt"), content))
