"""The finished runs of a plan become one table below ``<output_dir>/<experiment>/<hash>/``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from musicrag.artifacts import hash_frames, hash_json, write_json
from musicrag.experiment.outputs import (
    SYSTEM,
    FinishedRun,
    is_finished,
    remove_abandoned,
    run_folder,
)
from musicrag.experiment.sweep import Plan
from musicrag.experiment.world import open_dataset
from musicrag.report.comparison import compare_systems
from musicrag.report.render import write_table
from musicrag.schema import RunConfig
from musicrag.types import InputError

_TRUTH = ("interactions", "playlist_items", "queries", "qrels")
"""Tables that decide, with the split, which items are relevant."""


def make_table(plan: Plan) -> str:
    """Compare all runs of a plan and write the table's files; return the Markdown to print.

    Raises:
        InputError: a run of the plan is not finished.
    """
    runs = [_finished(job.config) for job in plan.jobs]
    first = plan.jobs[0].config
    root = Path(first.paths.output_dir) / plan.experiment
    remove_abandoned(root)
    folder = (
        root
        / hash_json([[j.variant, r.folder.name] for j, r in zip(plan.jobs, runs, strict=True)])[:16]
    )
    results = _results(plan, runs)
    table = compare_systems(results, first.evaluation.table, np.random.default_rng(0))
    text = write_table(table, folder, _caption(plan, runs))
    write_json(
        folder / "runs.json",
        {
            "runs": [
                {"variant": job.variant, "seed": job.config.seed, "folder": run.folder.name}
                for job, run in zip(plan.jobs, runs, strict=True)
            ]
        },
    )
    return f"{text}\nWritten to {folder}/ (table.csv, table.md, table.tex, figure.png)"


def _finished(config: RunConfig) -> FinishedRun:
    folder = run_folder(config, open_dataset(config))
    if not is_finished(folder):
        raise InputError(f"Run {folder} is not finished. Start the same command again to resume.")
    return FinishedRun(folder)


def _results(plan: Plan, runs: list[FinishedRun]) -> pd.DataFrame:
    """Long rows of all runs; baselines once, from the reference's first run.

    Where a variant's queries have other relevant items than the reference's, their ids are made
    different too, so that nobody pairs them.
    """
    reference, truth = plan.jobs[0].variant, _truth(plan.jobs[0].config)
    parts = []
    for job, run in zip(plan.jobs, runs, strict=True):
        rows = run.per_query()
        role = "reference" if job.variant == reference else "variant"
        own = rows[rows["system"] == SYSTEM]
        if _truth(job.config) != truth:
            own = own.assign(query_id=own["query_id"] + " in " + job.variant)
        parts.append(own.assign(label=job.variant, role=role, seed=job.config.seed))
    rows = runs[0].per_query()
    others = rows[rows["system"] != SYSTEM]
    baselines = others.assign(label=others["system"], role="baseline", seed=0)
    return pd.concat([*parts, baselines], ignore_index=True)


def _truth(config: RunConfig) -> str:
    """Equal for runs whose queries have the same relevant items."""
    tables = open_dataset(config).tables
    return hash_json(
        [
            config.split.model_dump(mode="json"),
            hash_frames({name: tables[name] for name in _TRUTH if name in tables}),
        ]
    )


def _caption(plan: Plan, runs: list[FinishedRun]) -> str:
    """What the table is, written from the runs' own manifests."""
    config, manifest = plan.jobs[0].config, runs[0].manifest()
    encoders = manifest["encoders"]
    if not isinstance(encoders, dict):
        raise InputError(
            f"{runs[0].folder}/manifest.json is damaged. Delete the folder, run again."
        )
    used = ", ".join(f"{modality}: {name}" for modality, name in encoders.items()) or "no modality"
    share = manifest["share_without_gold_path"]
    return (
        f"{plan.experiment} on {config.data.name} ({used}). Mean [95 % interval]; queries and "
        f"seeds are crossed random effects, baselines have one seed. p-values are corrected by "
        f"Holm's method, variants and baselines apart. Tuned on validation "
        f"({config.evaluation.primary}), reported on test; {share:.0%} of the queries have no "
        f"gold path."
    )
