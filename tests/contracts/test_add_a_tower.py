"""The tower of docs/how-to/add-a-tower.md keeps the contract, word for word as it stands there."""

import re
from pathlib import Path

import numpy as np
from contracts.checks import check_tower

import mmdist.spec.model
from mmdist.spec.model import RegularizationSpec

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-tower.md"


def test_the_page_is_right(monkeypatch):
    spec_file, tower_file = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    spec_module, tower_module = {}, {}
    exec(spec_file, spec_module)
    monkeypatch.setattr(mmdist.spec.model, "PixelsSpec", spec_module["PixelsSpec"], raising=False)
    exec(tower_file, tower_module)
    spec = spec_module["PixelsSpec"](square_px=12, units=6)
    pictures = np.random.default_rng(0).random((3, 36, 36, 3), np.float32)
    assert spec.misfit(36, 35) is not None
    check_tower(
        lambda seed: tower_module["PixelsTower"](
            spec, regularization=RegularizationSpec(), image_size=(36, 36), seed=seed
        ),
        {"image": pictures, "present": np.array([True, True, False])},
        tokens=(3, 9, 8),
        pooled=(3, 6),
    )
