"""How quick the page of ``maskcls review`` is with many faces, in headless Chromium.

    python benchmarks/review_speed.py --faces 100000 --rounds 5

The set is made up and has no photos: every picture is a placeholder, so that the page and the server are measured and
not the decoding. Times end when the browser has drawn the next frame; medians are reported.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from playwright.sync_api import Page, sync_playwright

from maskcls.classify.labels.review.app import Review
from maskcls.classify.labels.review.changes import MAX_CHANGES, Change
from maskcls.classify.labels.review.decisions import Decisions
from maskcls.classify.labels.review.faces import Faces
from maskcls.classify.labels.review.session import serve
from maskcls.classify.labels.review.thumbs import Thumbnails
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, EncoderInfo
from maskcls.embedder.faceset.store import LOG_COLUMNS, REJECT_COLUMNS, EmbeddingSet
from maskcls.embedder.labels import GENDERS, MASKS
from maskcls.embedder.table import face_table

PAINTED = """
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    if (document.querySelector("#sheet .cell")) requestAnimationFrame(() => { window.painted = performance.now(); });
    else requestAnimationFrame(look);
  };
  look();
});
"""
MEASURE = """
async ({ name, times }) => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const grid = document.getElementById("grid"), select = document.getElementById("group");
  const search = document.getElementById("search"), counts = document.getElementById("decision-counts");
  const key = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const acts = {
    page: () => key("PageDown"),
    jump: () => { grid.scrollTop = Math.random() * (grid.scrollHeight - grid.clientHeight); },
    group: i => { select.value = ["person", "class"][i % 2]; select.dispatchEvent(new Event("input")); },
    decide: async i => {
      const before = counts.textContent;
      key(i % 2 ? "c" : "r");
      while (counts.textContent === before) await frame();
    },
  };
  const taken = [];
  grid.focus();
  for (let i = 0; i < times; i += 1) {
    await frame();
    const began = performance.now();
    await acts[name](i);
    await frame();
    await frame();
    taken.push(performance.now() - began);
  }
  return taken;
}
"""
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def made_up(count: int) -> EmbeddingSet:
    """A set of faces with seven photos a person and no photo that exists."""
    rng = np.random.default_rng(0)
    masks, genders, ages = rng.integers(0, 3, count), rng.integers(0, 2, count), rng.integers(1, 90, count)
    rows = [
        {
            "face_id": f"{i:016x}",
            "path": f"{i // 7:06}_{GENDERS[genders[i]]}_Asian_{ages[i]}/photo{i % 7}.jpg",
            "person": f"{i // 7:06}",
            "mask": MASKS[masks[i]],
            "gender": GENDERS[genders[i]],
            "age_low": ages[i],
            "age_high": ages[i],
            "box": [0.0, 0.0, 64.0, 64.0],
            "face": "whole",
            "source": "made-up",
            "file_sha256": "0" * 64,
            **dict.fromkeys(("faces_in_photo", "file_size", "file_mtime_ns"), 1),
        }
        for i in range(count)
    ]
    return EmbeddingSet(
        face_table(rows),
        rng.standard_normal((count, EMBEDDING_DIM), np.float32),
        np.empty((0, *MAP_SHAPE), np.float16),
        pd.DataFrame(columns=list(REJECT_COLUMNS)),
        EncoderInfo("made-up", "0" * 64, {}),
        {"root": "/nowhere", "layout": "folders", "face": "whole"},
        pd.DataFrame(columns=list(LOG_COLUMNS)),
    )


def run_server(count: int, folder: Path, decided: bool, pipe: Connection) -> None:
    """Serve made-up faces and tell the address; with ``decided`` every face has been confirmed before."""
    faces = Faces([folder], [made_up(count)])
    decisions = Decisions(folder / "decisions.csv", faces.table)
    for start in range(0, count if decided else 0, MAX_CHANGES):
        decisions.decide(Change(row, "confirm") for row in range(start, min(count, start + MAX_CHANGES)))
    serve(Review(faces, decisions, Thumbnails(faces.places()), [], ""), "127.0.0.1", 0, pipe.send)


def measure(count: int, rounds: int, decided: bool) -> dict[str, list[float]]:
    """Milliseconds by what was done."""
    times: dict[str, list[float]] = {}
    receiver, sender = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        server = multiprocessing.get_context("spawn").Process(
            target=run_server, args=(count, Path(folder), decided, sender), daemon=True
        )
        server.start()
        url = receiver.recv()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
            for _ in range(rounds):
                page = browser.new_page(viewport={"width": 1300, "height": 900})
                measure_page(page, url, times)
                page.close()
            browser.close()
        server.kill()
        server.join()
    return times


def measure_page(page: Page, url: str, times: dict[str, list[float]]) -> None:
    """Open the page once and add what it takes."""
    page.add_init_script(PAINTED)
    page.goto(url)
    page.locator("#sheet .cell").first.wait_for()
    steps: dict[str, Any] = {"open": [page.evaluate("new Promise(done => requestAnimationFrame(() => done(painted)))")]}
    steps |= {
        name: page.evaluate(MEASURE, {"name": name, "times": number})
        for name, number in {"page": 20, "jump": 20, "group": 4, "decide": 6}.items()
    }
    for name, taken in steps.items():
        times.setdefault(name, []).extend(taken)


NAMES = {
    "open": "from the address to the first painted grid",
    "page": "Page Down",
    "jump": "jump anywhere with the scroll bar",
    "group": "group all faces anew",
    "decide": "a key until its decision is saved and shown",
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    fresh = measure(options.faces, options.rounds, decided=False)
    late = measure(options.faces, options.rounds, decided=True)
    print(f"| {options.faces:,} faces, medians in ms | nothing decided yet | all faces decided |\n|---|---:|---:|")
    for name, what in NAMES.items():
        print(f"| {what} | {statistics.median(fresh[name]):.0f} | {statistics.median(late[name]):.0f} |")


if __name__ == "__main__":
    main()
