"""What a fused model is worth where all rows lack a modality, beside models of one modality, on the demo's split.

    python benchmarks/missing_modality.py [--seeds 3] [--first-seed 0] [--only NAME,...] [--split test]
        [--job jobs/train.yaml] [--set KEY=VALUE ...] [--kept FOLDER]

The trainings are those of jobs/ablation/missing_modality.yaml: two of one modality, and two of both, of which one
(`concatenated`) has always seen both and the other (`prepared`) has had them hidden from it. Those of both are shown
the split's rows in five ways: as they are; without texts, or without pictures, as a null in the data or a column that a
job leaves out; and, as a control, with naive stand-ins that are said to be there: a text of one unknown word (mmdist
itself counts an empty text as absent), and a black picture. The dataset must have been imported
(`mmdist submit jobs/import.yaml`, or the job itself). Each training is a process of its own, without Ray. Numbers go to
stdout as tables, progress to stderr.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from right_share import difference, share
from trainings import Arrays, Trained, in_own_process, right_rows, train

ABLATION = Path(__file__).parents[1] / "jobs" / "ablation" / "missing_modality.yaml"
UNKNOWN = 1
"""Token of words that the vocabulary does not have."""


def withheld(inputs: Arrays, modality: str) -> Arrays:
    """The batch as if no row had the modality."""
    names = (modality, f"{modality}_present")
    return {**inputs, **{name: np.zeros_like(inputs[name]) for name in names}}


def filled(inputs: Arrays, modality: str) -> Arrays:
    """The batch with a stand-in for the modality that is said to be there in every row."""
    stand_in = np.zeros_like(inputs[modality])
    if modality == "text":
        stand_in[:, 0] = UNKNOWN
    return {**inputs, modality: stand_in, f"{modality}_present": np.ones_like(inputs[f"{modality}_present"])}


WAYS = {
    "as they are": lambda inputs: inputs,
    "text withheld": lambda inputs: withheld(inputs, "text"),
    "picture withheld": lambda inputs: withheld(inputs, "image"),
    "a naive text": lambda inputs: filled(inputs, "text"),
    "a black picture": lambda inputs: filled(inputs, "image"),
}
ALONE = {"picture alone": ("text withheld", "a naive text"), "text alone": ("picture withheld", "a black picture")}
"""By training of one modality, how the rows lack the other."""

Found = dict[tuple[str, str], npt.NDArray[np.bool_]]
"""By training and way, bool (S, N): by seed and row, whether the answer was right."""


def main() -> None:
    """Trains the jobs and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of trainings, with commas between them")
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="rows that are judged")
    parser.add_argument("--job", default="jobs/train.yaml")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a further change of every job")
    parser.add_argument("--kept", type=Path, help="folder of trainings that need not be done again")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        print(json.dumps(judge(train(Path(options.run)))))
        return
    ablation = yaml.safe_load(ABLATION.read_text(encoding="utf-8"))
    trainings = ablation["trainings"]
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(trainings)
    found: Found = {}
    for name in wanted:
        changes = [*ablation["always"], *trainings[name], *options.changes]
        rows = []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            title = f"{name}, seed {seed}"
            rows.append(in_own_process(__file__, options.job, [*changes, f"seed={seed}"], title, kept=options.kept))
            means = {
                split: {way: round(float(np.mean(rights)), 3) for way, rights in rows[-1][split].items()}
                for split in ("validation", "test")
            }
            print(title, f"{rows[-1]['seconds']:.0f} s", means, file=sys.stderr, flush=True)
        for way in rows[0][options.split]:
            found[name, way] = np.array([row[options.split][way] for row in rows], np.bool_)
    show(found, options.first_seed)
    compare(found)


def judge(trained: Trained) -> dict[str, object]:
    """By split and way, which rows are right; and the seconds of the training."""
    is_fused = trained.collator.columns.image is not None and trained.collator.columns.text is not None
    ways = WAYS if is_fused else {"as they are": WAYS["as they are"]}
    rights = {
        split: {name: right_rows(trained, split, change)[0].astype(int).tolist() for name, change in ways.items()}
        for split in ("validation", "test")
    }
    return {**rights, "seconds": trained.seconds}


def show(found: Found, first_seed: int) -> None:
    """Prints the accuracies by seed."""
    seeds = range(first_seed, first_seed + len(next(iter(found.values()))))
    print(f"| training | rows | {' | '.join(f'seed {seed}' for seed in seeds)} | mean | 95% interval |")
    print("| --- | --- |" + " --- |" * (len(seeds) + 2))
    for (name, way), rights in found.items():
        of_all = share(rights)
        cells = " | ".join(f"{value:.3f}" for value in rights.mean(axis=1))
        print(f"| {name} | {way} | {cells} | {of_all.mean:.3f} | {of_all} |")


def compare(found: Found) -> None:
    """Prints how much better a model of both modalities is than one that was trained on the one that is left."""
    print("\n| training | rows | less the training | mean difference | 95% interval |")
    print("| --- | --- | --- | --- | --- |")
    fused = dict.fromkeys(name for name, way in found if way != "as they are")
    for name in fused:
        for alone, ways in ALONE.items():
            for way in ways:
                if (alone, "as they are") in found:
                    less = difference(found[name, way], found[alone, "as they are"])
                    print(f"| {name} | {way} | {alone} | {less.mean:+.3f} | {less.low:+.3f} to {less.high:+.3f} |")


if __name__ == "__main__":
    main()
