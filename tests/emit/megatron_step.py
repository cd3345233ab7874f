"""Runs a step of megatron-core's schedule on the CPU, as the first rank, with empty modules."""

from collections import Counter
from typing import Any
from unittest import mock

import torch
from megatron.core.enums import ModelType
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer.transformer_config import TransformerConfig
from torch.overrides import TorchFunctionMode


class OnCpu(TorchFunctionMode):
    """Tensors that megatron-core puts on a GPU, by name, are put on the CPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        kwargs = dict(kwargs or {})
        if kwargs.get("device") == "cuda":
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


class Stage(torch.nn.Module):
    """Gives on what it is given; the first stage makes a tensor of that shape."""

    model_type = ModelType.encoder_or_decoder

    def __init__(self, config: TransformerConfig, number: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.config, self.number, self.vp_stage = config, number, number
        self.shape = shape
        self.share_embeddings_and_output_weights = False
        self.given: torch.Tensor | None = None

    def set_input_tensor(self, tensors: list[torch.Tensor | None]) -> None:
        self.given = tensors[0] if isinstance(tensors, list) else tensors

    def forward(self) -> torch.Tensor:
        if self.given is None:
            return torch.zeros(self.shape, dtype=torch.bfloat16, requires_grad=True)
        return self.given * 1


def forwards(config: TransformerConfig, count: int, sequence: int) -> Counter[int]:
    """How many forwards each stage of the first rank ran in a step of `count` micro-batches.

    Its tensors have a token for each GPU that divides the sequence, which must divide it.
    """
    stages = config.virtual_pipeline_model_parallel_size or 1
    parts = config.context_parallel_size * (
        config.tensor_model_parallel_size if config.sequence_parallel else 1
    )
    assert sequence % parts == 0, f"a sequence of {sequence} does not divide by {parts}"
    model = [Stage(config, i, (1, 1, config.hidden_size)) for i in range(stages)]
    ran: Counter[int] = Counter()

    def forward(_: Any, stage: Stage) -> tuple[torch.Tensor, Any]:
        ran[stage.number] += 1
        return stage(), lambda output: (output.float().sum(), {})

    schedule = get_forward_backward_func()
    chunked = config.virtual_pipeline_model_parallel_size is not None
    with (
        OnCpu(),
        mock.patch("torch.cuda.current_device", return_value="cpu"),
        mock.patch("torch.cuda.synchronize"),
    ):
        schedule(
            forward_step_func=forward,
            data_iterator=[None] * stages if chunked else None,
            model=model if chunked else model[0],
            num_microbatches=count,
            seq_length=parts,
            micro_batch_size=1,
        )
    return ran
