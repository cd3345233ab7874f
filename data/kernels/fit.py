#!/usr/bin/env python3
"""Turns kernel timings of a GPU into the small tables of data/kernels.

    fit.py FOLDER GPU -o FILE    writes one GPU's tables as bubblescope-kernels/1
    fit.py --judge FOLDER        prints the errors on shapes that a fit has not seen, as Markdown

FOLDER holds GPU-gemm.csv.gz, GPU-attention.csv.gz, GPU-mla.csv.gz, GPU-moe.csv.gz and
GPU-nccl.csv.gz (or .csv), timings in µs as ai-dynamo/aiconfigurator publishes them. A table is a
grid over some axes; log(us) is interpolated linearly over the logarithms of the axes, and the
values at the nodes are those that fit all timings best. docs/kernels.md says how to read a table.
"""

import argparse
import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timings import COLLECTIVES, DTYPES, attention, by_dtype, collective, grouped
from timings import latent_attention, products, rows_of

SOURCE = (
    "ai-dynamo/aiconfigurator, systems/data (Apache-2.0), timings of real GPUs; "
    "reduced to a grid by data/kernels/fit.py"
)


@dataclass(frozen=True)
class Axis:
    """One axis of a table, and by which power of it times grow outside its nodes."""

    name: str
    nodes: tuple
    above: float = 1  # 1: proportional above the last node, 2: quadratic, 0: constant
    below: float = 0  # likewise below the first node


PRODUCT_AXES = (
    Axis("m", (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)),
    Axis("n", (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 12288, 65536)),
    Axis("k", (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 12288, 65536)),
)
HEADS = Axis("heads", (1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096))
SEQUENCE = Axis("sequence", (512, 1024, 2048, 4096, 8192, 16384), above=2)
ATTENTION_AXES = (
    Axis("head_dim", (64, 128, 192, 256, 512), below=0.75),
    Axis("group", (1, 2, 8, 96), above=0),
    HEADS,
    SEQUENCE,
)
MLA_AXES = (HEADS, Axis("sequence", (512, 1024, 2048, 4096, 8192, 16384, 32768), above=2))
GROUPED_AXES = (
    Axis("rows", (4, 16, 64, 256, 1024, 4096, 16384)),
    Axis("experts", (1, 2, 4, 16, 64, 512), below=1),
    Axis("width", (32, 128, 512, 2048, 16384)),
    Axis("hidden", (2048, 4096, 8192)),
)
BYTES_AXIS = (Axis("bytes", tuple(2**i for i in range(9, 30))),)

# A curve of one shape that takes this many times what its neighbours say ran an untuned kernel.
UNTUNED = 1.5
# µs for 10⁶ elements of tokens × hidden. More than 2 is no kernel's: a fit only asks for it where
# all timings have the experts on one GPU, so that the term cannot be told from the products.
COMBINE_US = (0, 0.25, 0.5, 1, 1.5, 2)


# Tables


def clipped(axes, points):
    """The axes from the least to the greatest value of the points, with the nodes between."""
    kept = []
    for axis, values in zip(axes, points.T):
        least, greatest = values.min(), values.max()
        inner = [node for node in axis.nodes if least * 1.2 < node < greatest / 1.2]
        nodes = sorted({least, *inner, greatest})
        kept.append(Axis(axis.name, tuple(nodes), axis.above, axis.below))
    return tuple(kept)


def corners(axes, points):
    """Index and weight of each point's 2^axes nodes; the last axis runs fastest."""
    index = np.zeros((len(points), 1), int)
    weight = np.ones((len(points), 1))
    for axis, values in zip(axes, points.T):
        nodes = np.log(np.array(axis.nodes, float))
        place = np.clip(np.log(values), nodes[0], nodes[-1])
        low = np.clip(np.searchsorted(nodes, place, side="right") - 1, 0, max(len(nodes) - 2, 0))
        high = np.minimum(low + 1, len(nodes) - 1)
        gap = np.where(high > low, nodes[high] - nodes[low], 1)
        part = ((place - nodes[low]) / gap)[:, None]
        index = index * len(nodes)
        index = np.concatenate([index + low[:, None], index + high[:, None]], axis=1)
        weight = np.concatenate([weight * (1 - part), weight * part], axis=1)
    return index, weight


def beyond(axes, points):
    """What log(us) gains outside the grid."""
    total = np.zeros(len(points))
    for axis, values in zip(axes, points.T):
        total += axis.above * np.log(np.maximum(values / axis.nodes[-1], 1))
        total += axis.below * np.log(np.minimum(values / axis.nodes[0], 1))
    return total


def interpolated(axes, log_us, points):
    """log(us) at points (points × axes), of a table with log_us at its nodes."""
    index, weight = corners(axes, points)
    return (weight * log_us[index]).sum(axis=1) + beyond(axes, points)


def roughness(axes, strength):
    """Quadratic form of a table's second differences: decides where there are no timings."""
    shape = [len(axis.nodes) for axis in axes]
    count = int(np.prod(shape))
    numbering = np.arange(count).reshape(shape)
    form = np.zeros((count, count))
    for which, axis in enumerate(axes):
        nodes = np.log(np.array(axis.nodes, float))
        lines = np.moveaxis(numbering, which, 0).reshape(len(nodes), -1)
        for i in range(1, len(nodes) - 1):
            left, right = nodes[i] - nodes[i - 1], nodes[i + 1] - nodes[i]
            second = np.array([1 / left, -1 / left - 1 / right, 1 / right])
            for p in range(3):
                for q in range(3):
                    terms = strength * second[p] * second[q]
                    np.add.at(form, (lines[i - 1 + p], lines[i - 1 + q]), terms)
    return form


def fitted(axes, points, us, strength=0.005, rounds=5):
    """log(us) at the nodes, least absolute errors (least squares, weighted anew `rounds` times)."""
    index, weight = corners(axes, points)
    target = np.log(us) - beyond(axes, points)
    form = roughness(axes, strength)
    count = len(form)
    trust = np.ones(len(us))
    for _ in range(rounds):
        matrix = form + 1e-9 * np.eye(count)
        for p in range(index.shape[1]):
            cells = index[:, p : p + 1] * count + index
            terms = trust[:, None] * weight[:, p : p + 1] * weight
            matrix += np.bincount(cells.ravel(), terms.ravel(), count**2).reshape(count, count)
        right = np.bincount(index.ravel(), (weight * (trust * target)[:, None]).ravel(), count)
        log_us = np.linalg.solve(matrix, right)
        error = np.abs((weight * log_us[index]).sum(axis=1) - target)
        trust = 1 / np.maximum(error, 0.02)
        trust /= trust.mean()
    return log_us


class Table:
    """A grid of times over axes, made of timings or of some of them."""

    def __init__(self, axes, timings, chosen=slice(None), combine_us=0):
        points, us = timings.points[chosen], timings.us[chosen]
        self.combine_us = combine_us
        if combine_us:
            us = np.maximum(us - combine_us * timings.moved[chosen], us / 10)
        self.axes = clipped(axes, points)
        self.log_us = fitted(self.axes, points, us)

    def us(self, timings, chosen=slice(None)):
        """What the table says that timings take, in µs."""
        us = np.exp(interpolated(self.axes, self.log_us, timings.points[chosen]))
        return us + self.combine_us * timings.moved[chosen] if self.combine_us else us

    def as_json(self):
        """Nodes of each axis, then times of all nodes, the last axis fastest."""
        form = {axis.name: [plain(node) for node in axis.nodes] for axis in self.axes}
        form["us"] = [plain(us) for us in np.exp(self.log_us)]
        return form


def plain(number):
    """The number with four digits, whole where it has no others."""
    rounded = float(f"{number:.4g}") if number < 1000 else round(float(f"{number:.3e}"))
    exact = number if float(number).is_integer() else rounded
    return int(exact) if float(exact).is_integer() else exact


def tuned(timings):
    """The combine term that fits the timings best, and which of them ran a tuned kernel."""
    tables = [Table(GROUPED_AXES, timings, combine_us=us) for us in COMBINE_US]
    errors = [np.median(np.abs(table.us(timings) / timings.us - 1)) for table in tables]
    best = int(np.argmin(errors))
    excess = timings.us / tables[best].us(timings)
    of_curve = {}
    for curve, value in zip(timings.curves, excess):
        of_curve.setdefault(curve, []).append(value)
    slow = {curve for curve, values in of_curve.items() if np.median(values) > UNTUNED}
    return COMBINE_US[best], np.array([curve not in slow for curve in timings.curves])


def tables_of(folder, gpu):
    """All tables of a GPU as the JSON object that FILE holds."""
    form = {"format": "bubblescope-kernels/1", "name": gpu, "source": SOURCE}
    form["products"] = {
        dtype: Table(PRODUCT_AXES, products(rows)).as_json()
        for dtype, rows in by_dtype(rows_of(folder, gpu, "gemm"))
    }
    heads = attention(rows_of(folder, gpu, "attention"))
    form["attention"] = Table(ATTENTION_AXES, heads).as_json()
    form["mla"] = Table(MLA_AXES, latent_attention(rows_of(folder, gpu, "mla"))).as_json()
    form["grouped"] = {}
    for dtype, rows in by_dtype(rows_of(folder, gpu, "moe")):
        timings = grouped(rows)
        combine_us, good = tuned(timings)
        table = Table(GROUPED_AXES, timings, good, combine_us)
        form["grouped"][dtype] = {"combine_us": combine_us, **table.as_json()}
    rows = rows_of(folder, gpu, "nccl")
    counts = sorted({int(row["num_gpus"]) for row in rows})
    form["collectives"] = {}
    for theirs, ours in COLLECTIVES.items():
        each = [Table(BYTES_AXIS, collective(rows, theirs, n)).as_json() for n in counts]
        us = sum((table["us"] for table in each), [])
        form["collectives"][ours] = {"gpus": counts, "bytes": each[0]["bytes"], "us": us}
    return form


def text_of(value, indent=""):
    """The value as JSON: a key a line, the numbers of a list in lines of at most 96 columns."""
    if isinstance(value, dict):
        inner = indent + " "
        lines = [f"{inner}{json.dumps(key)}: {text_of(value[key], inner)}" for key in value]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list):
        numbers = ", ".join(str(number) for number in value)
        if len(numbers) <= 80:
            return f"[{numbers}]"
        inner = indent + " "
        lines = textwrap.wrap(numbers, 96, initial_indent=inner, subsequent_indent=inner)
        return "[\n" + "\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)


# Judging


def left_out(axes, timings, folds=5, combine_us=0, good=None):
    """Relative errors of judged timings, each from a table that has not seen its shape."""
    keys = sorted(set(timings.shapes))
    order = np.random.default_rng(1).permutation(len(keys))
    fold_of = {key: order[i] % folds for i, key in enumerate(keys)}
    fold = np.array([fold_of[key] for key in timings.shapes])
    good = np.ones(len(fold), bool) if good is None else good
    errors = np.full(len(fold), np.nan)
    for i in range(folds):
        table = Table(axes, timings, (fold != i) & good, combine_us)
        asked = (fold == i) & timings.judged
        errors[asked] = table.us(timings, asked) / timings.us[asked] - 1
    return errors


def told(errors):
    """Median and 90th percentile of absolute errors, in percent."""
    errors = 100 * np.abs(errors[~np.isnan(errors)])
    return f"{np.median(errors):.1f} / {np.percentile(errors, 90):.1f}"


def eight_from_four(rows):
    """Errors of collectives of 16 MiB and more among 8 GPUs, told from 4 by (n − 1)/n."""
    growth = (1 - 1 / 8) / (1 - 1 / 4)
    pairs = [(collective(rows, name, 4), collective(rows, name, 8)) for name in COLLECTIVES]
    errors = np.concatenate([few.us * growth / many.us - 1 for few, many in pairs])
    large = np.concatenate([many.points[:, 0] >= 2**24 for _, many in pairs])
    return told(errors[large])


def judged(folder, gpu):
    """Errors of a GPU's tables by column of the report."""
    cells = {"GPU": gpu}
    for dtype, rows in by_dtype(rows_of(folder, gpu, "gemm")):
        cells[dtype] = told(left_out(PRODUCT_AXES, products(rows)))
    heads = attention(rows_of(folder, gpu, "attention"))
    cells["attention"] = told(left_out(ATTENTION_AXES, heads))
    cells["mla"] = told(left_out(MLA_AXES, latent_attention(rows_of(folder, gpu, "mla"))))
    for dtype, rows in by_dtype(rows_of(folder, gpu, "moe")):
        timings = grouped(rows)
        combine_us, good = tuned(timings)
        errors = left_out(GROUPED_AXES, timings, 5, combine_us, good)
        cells[f"grouped {dtype}"] = told(errors)
        cells[f"tuned {dtype}"] = told(errors[good])
        cells[f"untuned {dtype}"] = f"{100 * (1 - good[timings.judged].mean()):.0f} %"
    rows = rows_of(folder, gpu, "nccl")
    counts = sorted({int(row["num_gpus"]) for row in rows})
    for theirs, ours in COLLECTIVES.items():
        each = [left_out(BYTES_AXIS, collective(rows, theirs, n)) for n in counts]
        cells[ours] = told(np.concatenate(each))
    if 8 in counts:
        cells["8 GPUs from 4"] = eight_from_four(rows)
    return cells


def report(folder):
    """Markdown tables of the errors of all GPUs in the folder."""
    gpus = sorted({path.name.split("-gemm.csv")[0] for path in Path(folder).glob("*-gemm.csv*")})
    cells = [judged(folder, gpu) for gpu in gpus]
    dtypes = list(DTYPES.values())
    experts = [f"{what} {dtype}" for dtype in dtypes for what in ("grouped", "tuned", "untuned")]
    for columns in (
        dtypes + ["attention", "mla"],
        experts,
        list(COLLECTIVES.values()) + ["8 GPUs from 4"],
    ):
        columns = ["GPU"] + columns
        yield "| " + " | ".join(columns) + " |"
        yield "| --- |" + " ---: |" * (len(columns) - 1)
        for cell in cells:
            yield "| " + " | ".join(cell.get(column, "–") for column in columns) + " |"
        yield ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", help="folder of GPU-KIND.csv.gz")
    parser.add_argument("gpu", nargs="?", help="the GPU's name, as the files begin")
    parser.add_argument("-o", "--output", help="file to write; standard output without it")
    parser.add_argument("--judge", action="store_true", help="print errors on left-out shapes")
    options = parser.parse_args()
    if options.judge == bool(options.gpu):
        parser.error("give a GPU, or --judge without one")
    try:
        if options.judge:
            text = "\n".join(report(options.folder))
        else:
            text = text_of(tables_of(options.folder, options.gpu)) + "\n"
    except FileNotFoundError as error:
        sys.exit(f"fit.py: {error}")
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
