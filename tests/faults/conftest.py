"""The matrix reuses the pictures of the decoder's own tests, and the tiny job of training's."""

import sys
from pathlib import Path

UNIT = Path(__file__).resolve().parents[1] / "unit"
sys.path += [str(UNIT / "data"), str(UNIT / "training")]
