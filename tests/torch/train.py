"""Trains one step under PyTorch in the orders given, and compares it with plain training.

Each CSV is run by PyTorch's own runtime of pipeline schedules: a process a rank on the CPU, the
stages on the ranks whose rows name them. The same model is trained on the same micro-batches by
one process without a pipeline. The losses and the gradient of every parameter must agree, and each
rank must have run the actions of its row, each once and in their order.

Exit code 1: an order failed, or with --self-test a fault was not noticed.
"""

import argparse
import logging
import multiprocessing
import os
import platform
import re
import sys
import tempfile
import time
from collections import ChainMap
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import _PipelineScheduleRuntime

SEED, WIDTH, ROWS, BLOCKS = 2026, 16, 4, 2  # ROWS of a micro-batch, BLOCKS of a stage

#: Largest difference allowed, relative to the largest entry of a tensor. Sums of the same float64
#: numbers in another order differ by some 1e-16 each.
TOLERANCE = 1e-12

HEADER = """
                                        micro-                difference of
order                     ranks stages batches        loss  losses gradients"""

#: What --self-test breaks: in words, and the pattern whose first match it drops from the CSV.
FAULTS = {
    "compute_only": {"a weight gradient is missing": r",\d+W\d+"},
    "compute_comms": {
        "a weight gradient is missing": r",\d+W\d+",
        "a stage's gradients are not averaged": r",\d+REDUCE_GRAD",
        "a send is missing, for which a rank waits forever": r",\d+SEND_F\d+",
    },
}


class Block(nn.Module):
    """A residual MLP, as in a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


def stage_model(stage: int) -> nn.Module:
    """The blocks of a stage; the same wherever they are made, and no parameter zero."""
    blocks = nn.Sequential(*(Block() for _ in range(BLOCKS))).double()
    generator = torch.Generator().manual_seed(SEED + 1 + stage)
    for parameter in blocks.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return blocks


def batch(microbatches: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a step."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (2, microbatches * ROWS, WIDTH)
    inputs, targets = torch.randn(shape, generator=generator, dtype=torch.float64)
    return inputs, targets


class Order:
    """What a CSV says: the computations of each rank, the two of a pair one after the other."""

    def __init__(self, path: Path) -> None:
        found = [re.findall(r"(\d+)([FIWB])(\d+)", row) for row in path.read_text().split()]
        self.path = path
        self.rows = [["".join(action) for action in row] for row in found]
        self.stages_of = [sorted({int(stage) for stage, _, _ in row}) for row in found]
        self.ranks = len(found)
        self.stages = 1 + max(max(stages) for stages in self.stages_of)
        self.microbatches = 1 + max(int(number) for row in found for _, _, number in row)


class Trained(NamedTuple):
    """The outcome of a step, or a rank's part of it."""

    losses: list[float]
    gradients: dict[str, np.ndarray]
    actions: dict[int, list[str]] = {}  #: Of each rank, as they were run.


def gradients_of(module: nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    """The gradients by their parameters' names; a missing one is not a number."""
    return {
        prefix + name: np.full(p.shape, np.nan) if p.grad is None else p.grad.numpy()
        for name, p in module.named_parameters()
    }


def train_plainly(order: Order) -> Trained:
    """One process, no pipeline; the step's loss is the mean over the micro-batches."""
    model = nn.Sequential(*(stage_model(stage) for stage in range(order.stages)))
    losses = []
    inputs, targets = (whole.chunk(order.microbatches) for whole in batch(order.microbatches))
    for x, y in zip(inputs, targets, strict=True):
        loss = nn.functional.mse_loss(model(x), y)
        (loss / order.microbatches).backward()
        losses.append(loss.item())
    return Trained(losses, gradients_of(model))


class RecordingStage(PipelineStage):
    """A stage that writes down what the runtime has it compute."""

    def __init__(self, stage: int, stages: int, actions: list[str]) -> None:
        super().__init__(stage_model(stage), stage, stages, torch.device("cpu"))
        self.actions = actions

    def forward_one_chunk(self, chunk, *args, **kwargs):
        self.actions.append(f"{self.stage_index}F{chunk}")
        return super().forward_one_chunk(chunk, *args, **kwargs)

    def backward_one_chunk(self, chunk, *args, full_backward=True, **kwargs):
        self.actions.append(f"{self.stage_index}{'B' if full_backward else 'I'}{chunk}")
        return super().backward_one_chunk(chunk, *args, full_backward=full_backward, **kwargs)

    def backward_weight_one_chunk(self, chunk, *args, **kwargs):
        self.actions.append(f"{self.stage_index}W{chunk}")
        return super().backward_weight_one_chunk(chunk, *args, **kwargs)


def train_rank(rank: int, order: Order, form: str, store: str) -> Trained:
    """A rank's part of the step, by PyTorch's runtime; in a process of its own."""
    torch.set_num_threads(1)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # a failure is raised, too
    dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=order.ranks)
    actions: list[str] = []
    stages = [RecordingStage(s, order.stages, actions) for s in order.stages_of[rank]]
    schedule = _PipelineScheduleRuntime(stages, order.microbatches, nn.functional.mse_loss)
    schedule._load_csv(str(order.path), format=form)

    inputs, targets = batch(order.microbatches)
    losses: list[torch.Tensor] = []
    schedule.step(
        *([inputs] if any(stage.is_first for stage in stages) else []),
        target=targets if any(stage.is_last for stage in stages) else None,
        losses=losses,
    )
    gradients = ChainMap(*(gradients_of(s.submod, f"{s.stage_index}.") for s in stages))
    dist.barrier()  # nobody leaves while another still needs it
    dist.destroy_process_group()
    return Trained([loss.item() for loss in losses], dict(gradients), {rank: actions})


def train_pipelined(order: Order, form: str, timeout: float) -> Trained:
    """All ranks; the first one's failure, or the time's end, ends all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.distributed.pipelining"])
    end = time.monotonic() + timeout
    with tempfile.TemporaryDirectory() as folder, context.Pool(order.ranks) as pool:
        train = partial(train_rank, order=order, form=form, store=f"{folder}/store")
        results = pool.imap_unordered(train, range(order.ranks))
        parts = [results.next(max(0, end - time.monotonic())) for _ in range(order.ranks)]
    losses, gradients, actions = zip(*parts)
    return Trained(sum(losses, []), dict(ChainMap(*gradients)), dict(ChainMap(*actions)))


def difference(ours: list[np.ndarray], true: list[np.ndarray]) -> float:
    """The largest, relative to the largest entry of a tensor; not a number if any is missing."""
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in true]:
        return float("nan")
    return float(np.max([np.abs(a - b).max() / np.abs(b).max() for a, b in zip(ours, true)]))


def check(order: Order, form: str, timeout: float, spoil: float = 0) -> bool:
    """Whether training in this order is right, with one gradient times 1 + spoil; in a line."""
    loss = losses_differ = gradients_differ = float("nan")
    wrong = ""
    try:
        ours, true = train_pipelined(order, form, timeout), train_plainly(order)
        ours.gradients["0.0.up.weight"] *= 1 + spoil
        loss = float(np.mean(ours.losses))
        losses_differ = difference([np.array(ours.losses)], [np.array(true.losses)])
        gradients_differ = difference(
            [ours.gradients[name] for name in true.gradients], list(true.gradients.values())
        )
        if not losses_differ <= TOLERANCE:
            wrong = "the losses differ"
        elif not gradients_differ <= TOLERANCE:
            wrong = "the gradients differ"
        elif [ours.actions[rank] for rank in range(order.ranks)] != order.rows:
            wrong = "the actions that ran are not the CSV's"
    except multiprocessing.TimeoutError:
        wrong = f"not done after {timeout:g} s"
    except Exception as error:  # whatever a rank raised
        wrong = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
    print(
        f"{order.path.stem:<25} {order.ranks:>5} {order.stages:>6} {order.microbatches:>7} "
        f"{loss:>11.6f} {losses_differ:>7.1e} {gradients_differ:>9.1e}  "
        + (f"FAILED: {wrong}" if wrong else "ok"),
        flush=True,
    )
    return not wrong


def self_test(path: Path, form: str, timeout: float) -> bool:
    """Whether the order passes, and fails with each fault put into it."""
    passed = check(Order(path), form, timeout)
    print("\non purpose: a gradient is wrong by a billionth")
    noticed = [not check(Order(path), form, timeout, spoil=1e-9)]
    for fault, pattern in FAULTS[form].items():
        print(f"\non purpose: {fault}")
        text, count = re.subn(pattern, "", path.read_text(), count=1)
        assert count, f"{path} has nothing like {pattern}"
        with tempfile.TemporaryDirectory() as folder:
            broken = Path(folder, path.name)
            broken.write_text(text)
            noticed.append(not check(Order(broken), form, min(timeout, 10)))
    print(f"\nfaults noticed: {sum(noticed)} of {len(noticed)}")
    return passed and all(noticed)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("orders", nargs="+", type=Path, metavar="CSV", help="a line a rank")
    parser.add_argument("--format", choices=FAULTS, default="compute_only", help="(%(default)s)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds an order (%(default)s)")
    parser.add_argument("--self-test", action="store_true", help="show that faults are noticed")
    options = parser.parse_args()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{options.format}, float64; may differ by {TOLERANCE:g} of a tensor's largest entry")
    print(HEADER)
    run = self_test if options.self_test else lambda path, *rest: check(Order(path), *rest)
    sound = [run(path, options.format, options.timeout) for path in options.orders]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
