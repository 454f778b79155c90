"""The matrix reuses the pictures of the decoder's own tests, with their expected pixels and reasons."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit" / "data"))
