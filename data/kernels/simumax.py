#!/usr/bin/env python3
"""Turns what SimuMax publishes of a machine into timings, models and rows of Bubblescope.

    simumax.py FOLDER OUT

FOLDER has SimuMax's system-b200.json, with the efficiency of each kernel that it measured, and
rows.json, the runs with their times. OUT gets gemm.csv, attention.csv, mla.csv and moe.csv for
`bubblescope hardware-fit`, the models and rows.json for `bubblescope reproduce`. What is printed is
the command that fits them, with the factors that the kernels' own backward passes tell.
"""

import argparse
import csv
import json
import re
import statistics
from pathlib import Path

HARDWARE = "b200-simumax.json"
BASE = "b200-base.json"
# Tokens of a sequence go to 6 of 160 experts of DeepSeek-V2, to 8 of 256 of V3, by hidden size.
EXPERTS = {5120: (6, 160), 7168: (8, 256)}
TOKENS = 4096
# Bytes that a gradient's accumulation in fp32 reads and writes, at the rate of b200's memory.
ACCUMULATED_BYTES = 8
MEMORY_BYTES_PER_US = 7700e3 * 0.75


def kernels(system, name):
    """Each shape that was measured, as a dictionary of text, with the FLOP/µs that it reached."""
    op = system["accelerator"]["op"][name]
    for key, efficiency in op["accurate_efficient_factor"].items():
        shape = dict(part.split("=") for part in key.split(", "))
        yield shape, efficiency * op["tflops"] * 1e6


def write(path, header, rows):
    """Writes a CSV; a shape that was measured in several layouts has the mean of its times."""
    times = {}
    for *shape, us in rows:
        times.setdefault(tuple(shape), []).append(us)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        for shape, each in times.items():
            writer.writerow([*shape, f"{statistics.mean(each):.3f}"])
    return {shape: statistics.mean(each) for shape, each in times.items()}


def products(system):
    """Forward and input gradients as (dtype, m, n, k, µs), and apart those of weights."""
    own, weights = [], []
    for shape, rate in kernels(system, "matmul"):
        m, n, k, batch = (int(shape[key]) for key in ("m", "n", "k", "b"))
        us = batch * 2 * m * n * k / rate
        if shape["layout"] == "NT":
            weights.append((m, n, k, us, shape["out_dtype"]))
        elif batch == 1:
            own.append(("bfloat16", m, n, k, us))
    # One expert's part of grouped products, which is how a simulation takes experts.
    for shape, rate in kernels(system, "group_matmul"):
        rows, n, k = (int(shape[key]) for key in ("M", "N", "K"))
        if shape["stage"] != "bwd_grad_w":
            sizes = (rows, n, k) if shape["stage"] == "fwd" else (rows, k, n)
            own.append(("bfloat16", *sizes, 2 * rows * n * k / rate))
    return own, weights


def attention(system, name):
    """Causal attention of one direction as rows of attention.csv and of mla.csv."""
    plain, latent = [], []
    direction, passes = ("forward", 1) if name == "sdp_fwd" else ("backward", 2.5)
    for shape, rate in kernels(system, name):
        batch, sequence, heads, key_heads, keys, values = (
            int(shape[key])
            for key in ("batch", "seq_len", "head_num", "kv_head_num", "qk_head_dim", "v_head_dim")
        )
        # SimuMax counts the whole square.
        us = passes * 2 * batch * heads * sequence**2 * (keys + values) / rate
        if keys == values:
            plain.append((direction, batch, sequence, heads, key_heads, keys, us))
        else:
            latent.append((direction, heads, batch, sequence, us))
    return plain, latent


def experts(system):
    """Forward of experts, both products, as columns of moe.csv."""
    times = {}
    for shape, rate in kernels(system, "group_matmul"):
        if shape["stage"] == "fwd":
            count, rows, out, inner = (int(shape[key]) for key in ("ng", "M", "N", "K"))
            times[count, rows, out, inner] = 2 * count * rows * out * inner / rate
    for (count, rows, out, inner), us in times.items():
        down = times.get((count, rows, inner, out // 2))
        if inner in EXPERTS and down:
            per_token, total = EXPERTS[inner]
            groups = total // count
            tokens = round(rows * total / per_token / TOKENS) * TOKENS
            shape = (tokens, inner, out // 2, per_token, total, 1, groups)
            yield ("bfloat16", *shape, "balanced", us + down)


def weight_factor(times, weights):
    """How much longer gradients of weights take than other products of their shapes, in sum."""
    own = others = 0
    for m, n, k, us, dtype in weights:
        other = times.get(("bfloat16", m, n, k))
        if other and dtype == "fp32":
            own += us - ACCUMULATED_BYTES * m * n / MEMORY_BYTES_PER_US
            others += other
    return own / others


def base_file(system, data, out):
    """The b200 of the catalogue with the rate of memory that SimuMax measured."""
    base = json.loads((data / "hardware" / "b200.json").read_text(encoding="utf-8"))
    memory = system["accelerator"]["bandwidth"]["default"]
    base["efficiency"]["memory"] = round(
        memory["efficient_factor"] * memory["gbps"] / base["memory_GBps"], 4
    )
    (out / BASE).write_text(json.dumps(base, indent=1) + "\n", encoding="utf-8")


def model_file(row, builtin, out):
    """The name of a model with the row's layers; where some have experts, all but the first do.

    So the memory of its two stages says: the first holds 31.6 and 71.2 GiB, the second 44.7 and 114.
    """
    model = json.loads(builtin.read_text(encoding="utf-8"))
    name = f"{row['model']}-{row['layers']}l"
    model["name"] = name
    config = model.get("config", model)
    config["num_hidden_layers"] = row["layers"]
    if "first_k_dense_replace" in config:
        config["first_k_dense_replace"] = 1
    if "num_nextn_predict_layers" in config:
        config["num_nextn_predict_layers"] = 0
    (out / f"{name}.json").write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    return f"{name}.json"


def row_of(row, out, models):
    """A run in the form of data/published/measured.json."""
    builtin = {"llama3-70b": "llama-3.1-70b", "deepseekv2": "deepseek-v2"}
    name = builtin.get(row["model"], "deepseek-v3")
    has_experts = {"experts": True} if row["ep"] > 1 else {}
    # The kernels that were measured for these runs have whole sequences and an eighth of the heads.
    divided = {"cp_comm": "alltoall"} if row["cp"] > 1 else {}
    peaks = row["max_allocated_mb_by_rank"].values()
    return {
        "id": row["case"],
        "table": "simumax-b200",
        "source": "MooreThreads/SimuMax v1.2 (Apache-2.0)",
        "model": {
            "file": model_file(row, models / f"{name}.json", out),
            "name": row["model"],
            "layers": row["layers"],
            **has_experts,
        },
        "hardware": HARDWARE,
        "gpus": row["tp"] * row["pp"] * row["dp"] * row["cp"],
        **{key: row[key] for key in ("tp", "pp", "dp", "cp", "ep")},
        **divided,
        "v": 1,
        "schedule": row["schedule"],
        "mbs": row["microbatch_size"],
        "gbs": row["dp"] * row["microbatch_size"] * row["microbatches"],
        "microbatches": row["microbatches"],
        "seq": row["sequence"],
        "precision": row["precision"],
        "recompute": "none",
        "sp": True,
        "attention": "flash",
        "loss": "fused",
        "zero": 1,
        "gradients": "fp32",
        "gradient_fusion": True,
        "tp_overlap": False,
        "dp_overlap": False,
        "dispatch": "alltoall",
        "cuda_graphs": [],
        "measured": {
            "iteration_s": row["iteration_ms"] / 1e3,
            "peak_memory_GB": max(peaks) * 2**20 / 1e9,
        },
        "iteration_s": row["iteration_ms"] / 1e3,
        "confidence": "seen",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    text = (options.folder / "system-b200.json").read_text(encoding="utf-8")
    system = json.loads(re.sub(r"//.*", "", text))
    own, weights = products(system)
    times = write(out / "gemm.csv", "dtype,m,n,k,us", own)
    plain, latent = attention(system, "sdp_fwd")
    for rows, more in zip((plain, latent), attention(system, "sdp_bwd")):
        rows.extend(more)
    columns = "pass,batch_size,isl,num_heads,num_key_value_heads,head_dim,us"
    write(out / "attention.csv", columns, plain)
    write(out / "mla.csv", "pass,num_heads,batch_size,isl,us", latent)
    columns = "dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size"
    write(out / "moe.csv", columns + ",distribution,us", experts(system))
    weight = weight_factor(times, weights)
    rows = json.loads((options.folder / "rows.json").read_text(encoding="utf-8"))
    data = Path(__file__).resolve().parents[1]
    base_file(system, data, out)
    form = [row_of(row, out, data / "models") for row in rows]
    (out / "rows.json").write_text(json.dumps(form, indent=1) + "\n", encoding="utf-8")
    files = " ".join(str(out / f"{kind}.csv") for kind in ("gemm", "attention", "mla", "moe"))
    print(
        f"bubblescope hardware-fit {files} --base {out / BASE} --sustained bf16=1,"
        f"weight-gradients={weight:.3f} "
        f"-o {out / HARDWARE}\nbubblescope reproduce {out / 'rows.json'}"
    )


if __name__ == "__main__":
    main()
