"""Has torchtitan's own code judge the jobs that `plan --emit torchtitan` writes.

    check_torchtitan.py FILE.toml...           beside each, the plan itself: FILE.json
    check_torchtitan.py --self-test FILE.toml  changes a job with a pipeline: all must be refused

Its ConfigManager reads the TOML, and its Trainer is built, as the first of all GPUs, on its fake
backend and without data: meshes, model, float8, batches, PyTorch's schedule by its name, stages,
tensor parallelism, recomputation, FSDP; up to where it would allocate memory. Micro-batches, stages
and steps of accumulation must be those of the plan.

Exit code 1: a job was refused, or with --self-test a changed one was accepted.
"""

import argparse
import dataclasses
import json
import logging
import os
import platform
import re
import sys
import tempfile
import textwrap
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch._utils
import torch.distributed as dist

#: torchtitan takes CUDA unless PyTorch says at its import that it has something else.
torch._utils._get_available_device_type = lambda: "cpu"

from torch.distributed.pipelining.schedules import get_schedule_class  # noqa: E402
from torchtitan.config import ConfigManager  # noqa: E402
from torchtitan.protocols import train_spec  # noqa: E402
from torchtitan.train import Trainer  # noqa: E402

#: What --self-test changes: in words, and a pattern with what takes its place.
MUTANTS = {
    "an unknown schedule": (r'schedule = "\w+"', 'schedule = "ZB9"'),
    "an unknown key": ("context_parallel_degree", "context_parallel_size"),
    "an unknown section": (r"\[activation_checkpoint\]", "[recompute]"),
    "an unknown model": (r'name = "\w+"', 'name = "llama9"'),
    "an unknown flavor": (r'flavor = "\w+"', 'flavor = "9B"'),
    "an unknown mode": (r'mode = "\w+"', 'mode = "norms"'),
    "an unknown converter": (r'(flavor = "\w+")', r'\1\nconverters = ["float9"]'),
    "text for a number": (r"seq_len = \d+", 'seq_len = "long"'),
    "fsdp that is unknown": (r'after_forward = "\w+"', 'after_forward = "sometimes"'),
    "degrees that are not the GPUs": (r"shard_degree = \d+", "shard_degree = 3"),
    "stages that do not divide": (r"layers_per_stage = \d+", "layers_per_stage = 7"),
    "one stage where several must be": (r"layers_per_stage = \d+", "layers_per_stage = 10"),
    "micro-batches that do not divide": (r"microbatch_size = \d+", "microbatch_size = 3"),
    "a batch that does not divide": (r"global_batch_size = \d+", "global_batch_size = 513"),
}


class Built(Exception):
    """The Trainer is built but for its memory."""


def built(_: torch.nn.Module, **__: Any) -> None:
    raise Built


own_spec = train_spec.get_train_spec


def without_data(name: str) -> train_spec.TrainSpec:
    """torchtitan's own description of a model, but for its data and its metrics."""
    return dataclasses.replace(
        own_spec(name),
        build_tokenizer_fn=None,
        build_dataloader_fn=None,
        build_metrics_processor_fn=lambda *_: mock.MagicMock(),
    )


def judge(file: Path, plan: dict[str, Any] | None) -> str:
    """Raises what torchtitan raises; else returns what was built."""
    gpus = re.search(r"^# \S+ on (\d+) ", file.read_text(), re.MULTILINE)
    assert gpus is not None, "no GPUs are told"
    os.environ |= {"NGPU": gpus[1], "WORLD_SIZE": gpus[1], "RANK": "0", "LOCAL_RANK": "0"}
    own = ["--job.config_file", str(file), "--comm.mode", "fake_backend"]
    config = ConfigManager().parse_args([*own, "--quantize.linear.float8.emulate"])
    trainer = Trainer.__new__(Trainer)
    try:
        with (
            mock.patch.object(train_spec, "get_train_spec", without_data),
            mock.patch.object(torch.nn.Module, "to_empty", built),
        ):
            trainer.__init__(config)
    except Built:
        pass
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    found = {"dp": trainer.parallel_dims.dp_replicate * trainer.parallel_dims.dp_shard,
             "microbatches": trainer.gradient_accumulation_steps, "chunks": 1}  # fmt: skip
    if config.parallelism.pipeline_parallel_degree > 1:
        schedule = trainer.pp_schedule
        assert type(schedule) is get_schedule_class(config.parallelism.pipeline_parallel_schedule)
        stages = getattr(schedule, "_stages", None) or [schedule._stage]
        found["microbatches"] *= schedule._n_microbatches
        found["chunks"] = len(stages)
        what = type(schedule).__name__
    else:
        what = "no pipeline"
    if plan is not None and found != {key: plan[key] for key in found}:
        raise ValueError(f"{found} is not the plan")
    return what


def told(error: BaseException) -> str:
    """An error in a line, with the line of the framework that raised it."""
    message = textwrap.shorten(f"{type(error).__name__}: {error}", 140, placeholder=" …")
    frames = traceback.extract_tb(error.__traceback__)
    at = [frame for frame in frames if "site-packages/torchtitan" in frame.filename]
    place = ""
    if at:
        place = f" ({at[-1].filename.split('site-packages/')[-1]}:{at[-1].lineno})"
    return message + place


def self_test(text: str) -> int:
    """Counts changed jobs that are accepted."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.toml"
        file.write_text(text)
        judge(file, None)
        for name, (pattern, replacement) in MUTANTS.items():
            changed, count = re.subn(pattern, replacement, text, count=1)
            assert count == 1, f"{name}: the job has no {pattern}"
            file.write_text(changed)
            try:
                judge(file, None)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # Whatever it raises.
                print(f"refused   {name:34} {told(error)}")
            else:
                missed += 1
                print(f"ACCEPTED  {name}")
    print(f"refused: {len(MUTANTS) - missed} of {len(MUTANTS)} changed jobs\n")
    return missed


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--self-test", action="store_true")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE.toml")
    options = arguments.parse_args()
    if options.self_test:
        return int(sum(self_test(file.read_text()) for file in options.files) > 0)
    print(f"Python {platform.python_version()}, torch {torch.__version__},"
          f" torchtitan {version('torchtitan')}, torchao {version('torchao')}\n")  # fmt: skip
    refused = 0
    for file in options.files:
        plan = json.loads(file.with_suffix(".json").read_text())["results"][0]
        try:
            print(f"accepted  {file.stem}: {judge(file, plan)}")
        except (Exception, SystemExit) as error:  # noqa: BLE001  # Whatever it raises.
            refused += 1
            print(f"REFUSED   {file.stem}: {told(error)}")
    print(f"accepted: {len(options.files) - refused} of {len(options.files)} jobs\n")
    return int(refused > 0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    sys.exit(main())
