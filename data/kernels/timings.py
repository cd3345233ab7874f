"""Reads kernel timings as ai-dynamo/aiconfigurator publishes them: points, times, shapes.

The files and their columns stand in docs/kernels.md. fit.py makes tables of what is read here.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DTYPES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block"}
COLLECTIVES = {
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "all_reduce": "all_reduce",
    "alltoall": "all_to_all",
}
BYTES_OF_HALF = 2
# Shapes of models whose experts probably have no gate (2 products, not 3): the timings do not say.
UNSURE_SHAPES = {(2688, 1856), (2048, 5120), (8192, 5120)}


def rows_of(folder, gpu, kind):
    """The rows of FOLDER/GPU-KIND.csv or .csv.gz, as dictionaries of text."""
    for path in (Path(folder) / f"{gpu}-{kind}.csv.gz", Path(folder) / f"{gpu}-{kind}.csv"):
        if path.exists():
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt", encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
    raise FileNotFoundError(f"{folder}: has no {gpu}-{kind}.csv.gz")


def numbers(rows, *keys):
    """Columns `keys` of rows as one float array of shape (rows, keys)."""
    return np.array([[float(row[key]) for key in keys] for row in rows]).reshape(-1, len(keys))


def by_dtype(rows):
    """Our dtype names with the rows of each, in the order of DTYPES."""
    for theirs, ours in DTYPES.items():
        chosen = [row for row in rows if row["dtype"] == theirs]
        if chosen:
            yield ours, chosen


@dataclass
class Timings:
    """Points (shape: timings × axes) and what they took, with the shape that judges leave out."""

    points: np.ndarray
    us: np.ndarray
    shapes: list  # one key a timing: a judge leaves out all timings of a key at once
    judged: np.ndarray  # which timings a judge looks at
    moved: np.ndarray = None  # grouped products: elements of tokens × hidden
    curves: list = None  # grouped products: timings that differ in tokens alone


def products(rows):
    """Matrix products of one dtype; odd m are dropped, for which no kernel is tuned."""
    table = numbers(rows, "m", "n", "k", "us")
    table = table[table[:, 0] % 2 == 0]
    shapes = [tuple(nk) for nk in table[:, 1:3]]
    return Timings(table[:, :3], table[:, 3], shapes, table[:, 0] >= 256)


def attention(rows):
    """Causal attention forward: heads are those of all sequences, group is heads a key head."""
    table = numbers(rows, "batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "us")
    batch, sequence, heads, key_heads, head_dim, us = table.T
    points = np.stack([head_dim, heads / key_heads, batch * heads, sequence], axis=1)
    shapes = [tuple(point) for point in points[:, [0, 2, 3]]]
    return Timings(points, us, shapes, np.ones(len(us), bool))


def latent_attention(rows):
    """Causal attention of multi-head latent attention (192 for keys, 128 for values), forward."""
    batch, sequence, heads, us = numbers(rows, "batch_size", "isl", "num_heads", "us").T
    keep = sequence >= 512
    points = np.stack([batch * heads, sequence], axis=1)[keep]
    return Timings(points, us[keep], [tuple(p) for p in points], np.ones(len(points), bool))


def grouped(rows):
    """Experts of one dtype with equal loads, or of nearly equal ones where there are no others."""
    balanced = [row for row in rows if row["distribution"] == "balanced"]
    if not balanced:  # unequal loads of a GPU that has all experts add up to nearly the same
        balanced = [row for row in rows if row["moe_ep_size"] == "1"]
        balanced = [row for row in balanced if row["distribution"] == "power_law_1.01"]
    keys = ("num_tokens", "topk", "num_experts", "moe_ep_size", "inter_size", "moe_tp_size")
    table = numbers(balanced, *keys, "hidden_size", "us")
    keep = np.array([(h, w) not in UNSURE_SHAPES for h, w in table[:, [6, 4]]])
    keep &= table[:, 0] * table[:, 1] >= 4 * table[:, 2]  # an expert has at least 4 rows
    table = table[keep]
    tokens, topk, experts, ep, inter, tp, hidden, us = table.T
    points = np.stack([tokens * topk / experts, experts / ep, inter / tp, hidden], axis=1)
    shapes = [tuple(point) for point in points[:, 2:]]
    curves = [tuple(row) for row in table[:, 1:7]]
    return Timings(points, us, shapes, points[:, 0] >= 64, tokens * hidden / 1e6, curves)


def collective(rows, name, gpus):
    """One collective among `gpus` GPUs by the bytes of the whole buffer."""
    chosen = [row for row in rows if row["op_name"] == name and row["nccl_dtype"] == "half"]
    chosen = [row for row in chosen if int(row["num_gpus"]) == gpus]
    elements, us = numbers(chosen, "message_size", "us").T
    sizes = (elements * BYTES_OF_HALF)[:, None]
    return Timings(sizes, us, [size[0] for size in sizes], np.ones(len(us), bool))
