"""Ludwig: a stacked CNN and a bidirectional LSTM, concatenated: the best of 15 epochs by validation."""

import io
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from contestant import Race, answer
from PIL import Image

# Ludwig imports torchvision, whose wheel does not load its operators beside a torch that was built for CPU alone, and
# then fails for want of their names. None of them is used here: pictures are decoded by Pillow.
_names = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _names.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# It imports torchaudio as well, whose libraries want CUDA, and asks for its version; no sound is read here.
_audio = ModuleType("torchaudio")
_audio.__spec__ = ModuleSpec("torchaudio", None)
_audio.__version__ = "2.11.1"
sys.modules["torchaudio"] = _audio

from ludwig.api import LudwigModel  # noqa: E402

PICTURE = {
    "name": "picture",
    "type": "image",
    "encoder": {"type": "stacked_cnn"},
    "preprocessing": {"height": 64, "width": 64, "num_channels": 3, "num_processes": 1},
}
TEXT = {
    "name": "text",
    "type": "text",
    "encoder": {"type": "rnn", "cell_type": "lstm", "bidirectional": True},
}
EPOCHS = 15


def learn(race: Race) -> tuple[list[str], str]:
    """Trains by Ludwig's defaults but for what is said here."""
    folder = race.scratch / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for split, rows in enumerate((race.train, race.validation, race.test)):  # the numbers that Ludwig has for splits
        paths = [folder / f"{split}-{number}.npy" for number in range(len(rows.ids))]
        for path, data in zip(paths, rows.pictures, strict=True):
            np.save(path, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1))
        columns = {"picture": [str(path) for path in paths], "text": rows.texts, "label": rows.labels, "split": split}
        parts.append(pd.DataFrame(columns))
    model = LudwigModel(
        {
            "input_features": {"both": [PICTURE, TEXT], "picture": [PICTURE], "text": [TEXT]}[race.reads],
            "combiner": {"type": "concat"},
            "output_features": [{"name": "label", "type": "category"}],
            "preprocessing": {"split": {"type": "fixed", "column": "split"}},
            "trainer": {
                "epochs": EPOCHS,
                "batch_size": 64,
                "early_stop": -1,
                "validation_field": "label",
                "validation_metric": "accuracy",
            },
        },
        backend="local",
    )
    model.train(
        dataset=pd.concat(parts, ignore_index=True),
        random_seed=race.seed,
        output_directory=str(race.scratch / "runs"),
        skip_save_processed_input=True,
        skip_save_log=True,
    )
    predictions, _ = model.predict(dataset=parts[2].drop(columns="label"), split="full", skip_save_predictions=True)
    return predictions["label_predictions"].astype(str).tolist(), f"{EPOCHS} epochs"


if __name__ == "__main__":
    answer(learn)
