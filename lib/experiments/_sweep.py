"""Width times depth times training: the cells of the experiment, and what is made of their
records (book: chapter 09).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lib.errors import require
from lib.experiments._records import run
from lib.robustness import (
    ImageClassifier,
    Pictures,
    attack,
    certified,
    digits,
    ensemble,
    measures,
    mnist5k,
    train,
)

RADIUS = 0.15
SEEDS = (0, 1, 2)
EPOCHS = (10, 40)
SIZES = ((4, 2), (8, 2), (16, 2), (32, 2), (8, 1), (8, 4), (8, 8))  # J, M
SETS = {"digits": digits, "mnist5k": mnist5k}


def trained(
    data: str, width: int, blocks: int, method: str, epochs: int, seed: int
) -> tuple[ImageClassifier, Pictures]:
    """A classifier trained on a set, and the set.

    Parameters
    ----------
    data : str
        ``digits`` or ``mnist5k``.
    width, blocks : int
        ``J`` and ``M``.
    method : str
        See `lib.robustness.train`.
    epochs, seed : int
        The seed of weights, order and attacks; the order of the set is that of seed 0.

    Returns
    -------
    ImageClassifier, Pictures

    Raises
    ------
    InputError
        For another set.
    """
    require(data in SETS, "data", data, f"one of {', '.join(SETS)}")
    pictures = SETS[data]()
    model = ImageClassifier(pictures.shape, width, blocks, seed=seed)
    train(
        model,
        pictures.train_x,
        pictures.train_y,
        method,
        radius=RADIUS,
        epochs=epochs,
        seed=seed,
        limits=pictures.limits,
    )
    return model, pictures


def sweep_run(data: str, width: int, blocks: int, method: str, epochs: int, seed: int) -> dict:
    """Train and measure: one record of the sweep, a dict of numbers (`measures`), with the
    seconds of training.
    """
    begin = time.perf_counter()
    model, pictures = trained(data, width, blocks, method, epochs, seed)
    seconds = time.perf_counter() - begin
    return {
        **measures(model, pictures.test_x, pictures.test_y, RADIUS, limits=pictures.limits),
        "training_seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def sweep_cells(
    data: str = "mnist5k",
    sizes: Sequence = SIZES,
    methods: Sequence[str] = ("pgd", "natural"),
    epochs: Sequence[int] = EPOCHS,
    seeds: Sequence[int] = SEEDS,
) -> list[dict]:
    """The cells of the full sweep; TRADES for two widths, at the smaller number of epochs."""
    found = [
        {"data": data, "width": J, "blocks": M, "method": method, "epochs": E, "seed": seed}
        for E in epochs
        for method in methods
        for J, M in sizes
        for seed in seeds
    ]
    found += [
        {
            "data": data,
            "width": J,
            "blocks": 2,
            "method": "trades",
            "epochs": epochs[0],
            "seed": seed,
        }
        for J in (4, 16)
        for seed in seeds
    ]
    return found


def sweep_summary(records: list[dict]) -> dict:
    """Means and standard errors over the seeds.

    Returns
    -------
    dict
        ``{(method, epochs, width, blocks): {measure: (mean, standard error)}}``.
    """
    groups: dict[tuple, list[dict]] = {}
    for row in records:
        c = row["cell"]
        groups.setdefault((c["method"], c["epochs"], c["width"], c["blocks"]), []).append(
            row["result"]
        )
    return {
        key: {
            name: (
                float(np.mean([r[name] for r in rows])),
                float(np.std([r[name] for r in rows], ddof=1) / len(rows) ** 0.5)
                if len(rows) > 1
                else float("nan"),
            )
            for name in rows[0]
        }
        for key, rows in groups.items()
    }


# method, J, M, epochs
HEADLINES = (("pgd", 4, 2, 10), ("pgd", 8, 8, 10), ("pgd", 32, 2, 40), ("trades", 16, 2, 10))


def headline_run(
    data: str, width: int, blocks: int, method: str, epochs: int, seed: int, points: int
) -> dict:
    """A model trained again, attacked by ours and by the kept ensemble at the same pictures, the
    first ones of the test.
    """
    model, pictures = trained(data, width, blocks, method, epochs, seed)
    x, y = pictures.test_x[:points], pictures.test_y[:points]
    kept = ensemble(model, x, y, RADIUS, seed=seed, limits=pictures.limits)
    _, ours = attack(model, x, y, RADIUS, restarts=2, seed=seed, limits=pictures.limits)
    return {
        "ours": float(ours.float().mean()),
        "ensemble": float(kept.float().mean()),
        "either": float((ours & kept).float().mean()),
    }


def headline_cells(data: str = "mnist5k", points: int = 500) -> list[dict]:
    """The reported models, of the first seed."""
    return [
        {
            "data": data,
            "width": J,
            "blocks": M,
            "method": method,
            "epochs": epochs,
            "seed": SEEDS[0],
            "points": points,
        }
        for method, J, M, epochs in HEADLINES
    ]


def strong_run(
    data: str,
    width: int,
    blocks: int,
    method: str,
    epochs: int,
    seed: int,
    points: int,
    targets: int,
) -> dict:
    """The same models and pictures under the strong version of our attack."""
    model, pictures = trained(data, width, blocks, method, epochs, seed)
    x, y = pictures.test_x[:points], pictures.test_y[:points]
    _, robust = attack(
        model,
        x,
        y,
        RADIUS,
        steps=40,
        restarts=2,
        targets=targets,
        seed=seed,
        limits=pictures.limits,
    )
    return {"strong": float(robust.float().mean())}


def strong_cells() -> list[dict]:
    """The models of `headline_cells`, three targets."""
    return [{**cell, "targets": 3} for cell in headline_cells()]


PROVED = (0.02, 0.05, 0.1)  # radii of certificates


def proved_run(width: int, blocks: int, seed: int) -> dict:
    """Shares of 200 pictures that zonotopes certify, and that withstand attack, for a classifier
    of digits trained by PGD.
    """
    model, pictures = trained("digits", width, blocks, "pgd", EPOCHS[0], seed)
    x = pictures.test_x[:200]
    y = pictures.test_y[:200]
    found = {}
    for radius in PROVED:
        found[f"proved {radius}"] = float(
            certified(model, x, y, radius, pictures.limits).double().mean()
        )
        _, robust = attack(model, x, y, radius, seed=seed, limits=pictures.limits)
        found[f"robust {radius}"] = float(robust.double().mean())
    return found


def proved_cells() -> list[dict]:
    """Three small classifiers, of the first seed."""
    return [{"width": J, "blocks": M, "seed": SEEDS[0]} for J, M in ((4, 1), (8, 1), (8, 2))]


def sweep(
    folder: str | Path,
    jobs: int = 1,
    progress: Callable[[Iterator, int], Iterable] = lambda items, total: items,
    scheduler: str | None = None,
    data: str = "mnist5k",
    epochs: Sequence[int] = EPOCHS,
) -> dict:
    """Run the sweep, as far as there are no records (`run`), and return its `sweep_summary`."""
    cells = sweep_cells(data, epochs=epochs)
    return sweep_summary(run(sweep_run, cells, folder, jobs, progress, scheduler))
