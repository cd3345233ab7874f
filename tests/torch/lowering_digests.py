"""Digests of what PyTorch itself lowers the catalogue's orders to.

    tests/torch/lowering_digests.py build/release/bubblescope > tests/golden/torch_lowered_digests.csv

Each order is exported, lowered by PyTorch's own passes in the order of its runtime
(_PipelineScheduleRuntime._prepare_schedule_with_comms), and digested as tests/support/digest.h does.
tests/program_file_test.cpp holds our lowering to the digests, without PyTorch.
"""

import subprocess
import sys
from collections.abc import Iterable

import torch
from torch.distributed.pipelining import schedules as torch_schedules

SHAPES = [(p, m) for p in (1, 2, 3, 5, 8, 13) for m in (2 * p, 3 * p + 1, 40)]
SCHEDULES = {
    "gpipe": [1],
    "1f1b": [1],
    "zb-h1": [1],
    "zb-v": [2],
    "v-half": [2],
    "dualpipev": [2],
    "looped-bfs": [1, 3, 4, 9],
    "interleaved-1f1b": [2, 3, 5, 8],
    "interleaved-1f1b-overlap": [3, 4, 7],
    "interleaved-zb-torch": [2, 4, 6],
}


def lowered(rows: list[str]) -> str:
    """The compute_comms CSV that PyTorch makes of a compute-only one."""
    action = torch_schedules._Action.from_str
    orders = {rank: [action(cell) for cell in row.split(",")] for rank, row in enumerate(rows)}
    rank_of_stage = {}
    microbatches = 0
    for rank, order in orders.items():
        for each in order:
            for part in each.sub_actions or (each,):
                rank_of_stage[part.stage_index] = rank
                microbatches = max(microbatches, part.microbatch_index + 1)
    for rank in orders:
        orders[rank] = torch_schedules._add_unshard_reshard(orders[rank])
        orders[rank] = torch_schedules._add_reduce_grad(orders[rank], microbatches)
    with_comms = torch_schedules._add_send_recv(
        orders, stage_to_rank=rank_of_stage.__getitem__, num_stages=len(rank_of_stage)
    )
    return "".join(
        ",".join(with_sorted_reshards(map(str, with_comms[rank]))) + "\n"
        for rank in range(len(rows))
    )


def with_sorted_reshards(cells: Iterable[str]) -> list[str]:
    """With stages ascending where only messages stand between: PyTorch's order, which is that of a
    set, means nothing."""
    cells = list(cells)
    run = []  # places of RESHARD cells
    for place, cell in enumerate(cells):
        if cell.endswith("RESHARD"):
            run.append(place)
            stages = sorted((cells[i] for i in run), key=lambda each: int(each[:-7]))
            for i, stage in zip(run, stages):
                cells[i] = stage
        elif "SEND_" not in cell and "RECV_" not in cell:
            run = []
    return cells


def digest(text: str) -> str:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main() -> None:
    program = sys.argv[1]
    print(f"# PyTorch {torch.__version__.split('+')[0]}, tests/torch/lowering_digests.py")
    print("schedule,p,m,v,digest")
    for name, all_chunks in SCHEDULES.items():
        for p, m in SHAPES:
            for v in all_chunks:
                shape = ["-p", str(p), "-m", str(m), "-v", str(v)]
                order = subprocess.run(
                    [program, "-q", "order", name, *shape], capture_output=True, text=True
                )
                if order.returncode == 0:
                    print(f"{name},{p},{m},{v},{digest(lowered(order.stdout.splitlines()))}")
                elif order.returncode != 3:  # 3: no such shape
                    sys.exit(order.stderr)


main()
