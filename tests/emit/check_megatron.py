"""Has megatron-core's own code judge the launches that `plan --emit megatron` writes.

    check_megatron.py FILE.sh...           beside each, the plan itself: FILE.json
    check_megatron.py --self-test FILE.sh  changes a launch of llama-3.1-70b: all must be refused

Flags become fields of megatron-core's configurations, whose checks run: types and choices, the
pipeline's layout, the groups of all GPUs (on PyTorch's fake backend, as the first rank), batches.
Then its schedule runs a step on the CPU with modules that do nothing. Groups, micro-batches and
forwards must be those of the plan.

Exit code 1: a launch was refused, or with --self-test a changed one was accepted.
"""

import argparse
import contextlib
import json
import logging
import platform
import re
import sys
import textwrap
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, Iterator

import megatron.core.utils
import megatron_flags
import megatron_step
import torch
import torch.distributed as dist
from megatron.core import num_microbatches_calculator as batches
from megatron.core import parallel_state
from megatron.core.distributed import DistributedDataParallelConfig
from megatron.core.optimizer import OptimizerConfig
from megatron.core.transformer.transformer_block import get_num_layers_to_build
from megatron.core.transformer.transformer_config import TransformerConfig
from packaging.version import Version

#: Transformer Engine needs CUDA to be built, so megatron-core is told that this one is there.
TRANSFORMER_ENGINE = "2.9.0"

#: What --self-test changes: in words, and a pattern with what takes its place.
MUTANTS = {
    "an unknown flag": ("--bf16", "--bf17"),
    "an unknown fp8 recipe": ("--bf16", "--bf16 --fp8-format e4m3 --fp8-recipe rowwise"),
    "an unknown module": ("--recompute-modules layernorm", "--recompute-modules norms"),
    "moe_act of a dense model": ("--recompute-modules layernorm", "--recompute-modules moe_act"),
    "full recomputation, no method": ("granularity selective", "granularity full"),
    "v that does not divide": (r"per-pipeline-rank \d+", "per-pipeline-rank 7"),
    "a layout that lacks layers": (
        r"--num-virtual-stages-per-pipeline-rank \d+",
        "--pipeline-model-parallel-layout 'Et|(t|)*14tL'",
    ),
    "tp that does not divide": (r"tensor-model-parallel-size \d+", "tensor-model-parallel-size 3"),
    "a batch that does not divide": (r"global-batch-size \d+", "global-batch-size 513"),
    "fewer micro-batches than ranks": (r"global-batch-size \d+", "global-batch-size 8"),
    "experts in a dense model": ("--bf16", "--bf16 --expert-model-parallel-size 2"),
    "bf16 moments of a whole optimizer": (
        "--use-distributed-optimizer",
        "--use-precision-aware-optimizer --exp-avg-dtype bf16 --exp-avg-sq-dtype bf16",
    ),
}


@contextlib.contextmanager
def groups(config: TransformerConfig, gpus: int) -> Iterator[None]:
    """Parallel groups of so many GPUs, made by megatron-core."""
    dist.init_process_group("fake", rank=0, world_size=gpus)
    try:
        parallel_state.initialize_model_parallel(
            config.tensor_model_parallel_size,
            config.pipeline_model_parallel_size,
            config.virtual_pipeline_model_parallel_size,
            context_parallel_size=config.context_parallel_size,
            expert_model_parallel_size=config.expert_model_parallel_size,
            expert_tensor_parallel_size=config.expert_tensor_parallel_size,
            create_gloo_process_groups=False,
        )
        yield
    finally:
        parallel_state.destroy_model_parallel()
        dist.destroy_process_group()


def layers(config: TransformerConfig) -> int:
    """How many layers megatron-core builds, over all stages."""
    layout, total = config.pipeline_model_parallel_layout, 0
    for rank in range(config.pipeline_model_parallel_size):
        for stage in range(config.virtual_pipeline_model_parallel_size or 1):
            if layout:
                total += layout.get_num_layers_to_build(vp_stage=stage, pp_rank=rank)
            else:
                total += get_num_layers_to_build(config, vp_stage=stage, pp_rank=rank)
    return total


def micro_batches(launch: megatron_flags.Launch, replicas: int) -> int:
    batches.unset_num_microbatches_calculator()
    batches.init_num_microbatches_calculator(
        0, None, launch.fields["global_batch_size"], launch.fields["micro_batch_size"], replicas
    )
    return batches.get_num_microbatches()


def judge(text: str, plan: dict[str, Any] | None) -> list[str]:
    """Raises what megatron-core raises; else returns what it could not prove."""
    launch = megatron_flags.read(text)
    unproven = list(launch.unproven)
    config = launch.transformer()
    launch.of(DistributedDataParallelConfig)
    try:
        launch.of(OptimizerConfig)
    except RuntimeError as error:  # The last check is of Transformer Engine's own Adam.
        if not isinstance(error.__context__, ImportError):
            raise
        unproven.append("--use-precision-aware-optimizer with Transformer Engine's Adam")
    with groups(config, launch.gpus):
        replicas = parallel_state.get_data_parallel_world_size()
        count = micro_batches(launch, replicas)
        found = {"dp": replicas, "microbatches": count,
                 "ep": parallel_state.get_expert_model_parallel_world_size(),
                 "chunks": config.virtual_pipeline_model_parallel_size or 1}  # fmt: skip
        if (built := layers(config)) != config.num_layers:
            raise ValueError(f"{built} layers are built of {config.num_layers}")
        if plan is not None and found != {key: plan[key] for key in found}:
            raise ValueError(f"{found} is not the plan")
        if config.overlap_moe_expert_parallel_comm:
            unproven.append("the step of --overlap-moe-expert-parallel-comm, not run")
        else:
            ran = megatron_step.forwards(config, count, launch.fields["seq_length"])
            if set(ran.values()) != {count} or len(ran) != found["chunks"]:
                raise ValueError(f"forwards are {dict(ran)}")
    return unproven


def told(error: BaseException) -> str:
    """An error in a line, with the line of the framework that raised it."""
    message = textwrap.shorten(f"{type(error).__name__}: {error}", 140, placeholder=" …")
    frames = traceback.extract_tb(error.__traceback__)
    at = [frame for frame in frames if "site-packages" in frame.filename]
    place = ""
    if at:
        place = f" ({at[-1].filename.split('site-packages/')[-1]}:{at[-1].lineno})"
    return message + place


def self_test(text: str) -> int:
    """Counts changed launches that are accepted."""
    judge(text, None)
    missed = 0
    for name, (pattern, replacement) in MUTANTS.items():
        changed, count = re.subn(pattern, replacement, text, count=1)
        assert count == 1, f"{name}: the launch has no {pattern}"
        try:
            judge(changed, None)
        except Exception as error:  # noqa: BLE001  # Whatever the framework raises.
            print(f"refused   {name:34} {told(error)}")
        else:
            missed += 1
            print(f"ACCEPTED  {name}")
    print(f"refused: {len(MUTANTS) - missed} of {len(MUTANTS)} changed launches\n")
    return missed


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--self-test", action="store_true")
    arguments.add_argument("files", nargs="+", type=Path, metavar="FILE.sh")
    options = arguments.parse_args()
    megatron.core.utils._te_version = Version(TRANSFORMER_ENGINE)
    if options.self_test:
        return int(sum(self_test(file.read_text()) for file in options.files) > 0)
    print(f"Python {platform.python_version()}, torch {torch.__version__},"
          f" megatron-core {version('megatron-core')}\n")  # fmt: skip
    refused = 0
    for file in options.files:
        plan = json.loads(file.with_suffix(".json").read_text())["results"][0]
        try:
            unproven = judge(file.read_text(), plan)
        except Exception as error:  # noqa: BLE001  # Whatever the framework raises.
            refused += 1
            print(f"REFUSED   {file.stem}: {told(error)}")
        else:
            print(f"accepted  {file.stem}" + "".join(f"; unproven: {one}" for one in unproven))
    print(f"accepted: {len(options.files) - refused} of {len(options.files)} launches\n")
    return int(refused > 0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    sys.exit(main())
