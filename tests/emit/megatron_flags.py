"""A launch of `plan --emit megatron` as fields of megatron-core's configurations."""

import argparse
import functools
import json
import re
import subprocess
import typing
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from megatron.core.distributed import DistributedDataParallelConfig
from megatron.core.transformer.transformer_config import MLATransformerConfig, TransformerConfig

MODELS = Path(__file__).resolve().parents[2] / "data" / "models"

#: Fields whose flags have their names, of the model and of data parallelism.
OF_MODEL = """num_layers tensor_model_parallel_size pipeline_model_parallel_size
context_parallel_size expert_model_parallel_size expert_tensor_parallel_size sequence_parallel
overlap_moe_expert_parallel_comm recompute_granularity recompute_method recompute_num_layers
cross_entropy_loss_fusion bf16 fp8_recipe tp_comm_overlap moe_token_dispatcher_type
moe_flex_dispatcher_backend moe_grouped_gemm attention_backend""".split()
OF_DATA_PARALLEL = """use_distributed_optimizer use_megatron_fsdp overlap_grad_reduce
overlap_param_gather data_parallel_sharding_strategy""".split()

#: Flags of Megatron-LM's training script alone, which megatron-core has no field for.
OF_SCRIPT = ["--ckpt-format"]

#: What a key of a built-in model is in TransformerConfig.
MODEL_FIELDS = {
    "num_hidden_layers": "num_layers",
    "hidden_size": "hidden_size",
    "num_attention_heads": "num_attention_heads",
    "num_key_value_heads": "num_query_groups",
    "head_dim": "kv_channels",
    "intermediate_size": "ffn_hidden_size",
    "num_experts": "num_moe_experts",
    "n_routed_experts": "num_moe_experts",
    "num_experts_per_tok": "moe_router_topk",
    "moe_intermediate_size": "moe_ffn_hidden_size",
    "n_group": "moe_router_num_groups",
    "topk_group": "moe_router_group_topk",
    "q_lora_rank": "q_lora_rank",
    "kv_lora_rank": "kv_lora_rank",
    "qk_nope_head_dim": "qk_head_dim",
    "qk_rope_head_dim": "qk_pos_emb_head_dim",
    "v_head_dim": "v_head_dim",
    "num_nextn_predict_layers": "mtp_num_layers",
}


class Launch(NamedTuple):
    """A launch: its GPUs and the fields that its flags and its model give."""

    gpus: int
    fields: dict[str, Any]
    unproven: list[str]

    def of(self, cls: type) -> Any:
        """A configuration with those of the fields that it has."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in self.fields.items() if name in names})

    def transformer(self) -> TransformerConfig:
        latent = "kv_lora_rank" in self.fields
        return self.of(MLATransformerConfig if latent else TransformerConfig)


def options_of(cls: type, field: str) -> dict[str, Any]:
    """How argparse reads a field, by its declared type."""
    kind = typing.get_type_hints(cls)[field]
    if type(None) in typing.get_args(kind):
        kind = typing.get_args(kind)[0]
    if kind is bool:
        return {"action": "store_true"}
    if typing.get_origin(kind) is typing.Literal:
        return {"choices": typing.get_args(kind)}
    if issubclass(kind, Enum):
        return {"type": lambda name: kind[name]}
    return {"type": kind}


def parser() -> argparse.ArgumentParser:
    """The flags that tools/plan_emit.cpp may write, each named as the field that it becomes."""
    flags = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    add = functools.partial(flags.add_argument, default=argparse.SUPPRESS)
    for cls, names in ((TransformerConfig, OF_MODEL),
                       (DistributedDataParallelConfig, OF_DATA_PARALLEL)):  # fmt: skip
        for name in names:
            add("--" + name.replace("_", "-"), **options_of(cls, name))
    add("--fp8-format", dest="fp8", **options_of(TransformerConfig, "fp8"))
    add("--recompute-modules", nargs="+")
    add("--cp-comm-type", choices=["p2p", "a2a", "all_gather", "a2a+p2p"])
    add("--pipeline-model-parallel-layout")
    virtual = "virtual_pipeline_model_parallel_size"
    add("--num-virtual-stages-per-pipeline-rank", dest=virtual, type=int)
    add("--grad-reduce-in-bf16", dest="grad_reduce_in_fp32", action="store_false")
    add("--use-precision-aware-optimizer", action="store_true")
    for name in ("--exp-avg-dtype", "--exp-avg-sq-dtype"):
        add(name, type={"fp32": torch.float32, "bf16": torch.bfloat16}.__getitem__)
    for name in ("--micro-batch-size", "--global-batch-size", "--seq-length"):
        flags.add_argument(name, type=int, required=True)
    for name in OF_SCRIPT:
        add(name)
    return flags


def model_fields(name: str) -> dict[str, Any]:
    """The fields of a built-in model."""
    document = json.loads((MODELS / f"{name}.json").read_text())
    config = document.get("config", document)
    given = {MODEL_FIELDS[key]: value for key, value in config.items() if key in MODEL_FIELDS}
    given |= {"gated_linear_unit": True, "activation_func": F.silu, "add_bias_linear": False,
              "normalization": "RMSNorm", "params_dtype": torch.bfloat16,
              "pipeline_dtype": torch.bfloat16, "grad_reduce_in_fp32": True}  # fmt: skip
    if dense := config.get("first_k_dense_replace", 0):
        given["moe_layer_freq"] = [int(layer >= dense) for layer in range(given["num_layers"])]
    if shared := config.get("n_shared_experts", 0):
        given["moe_shared_expert_intermediate_size"] = shared * given["moe_ffn_hidden_size"]
    return given


def words_of(text: str) -> list[str]:
    """The words that bash would give to torchrun."""
    torchrun = 'torchrun() { printf "%s\\0" "$@"; }\n'
    command = ["bash", "-euc", torchrun + text]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return told.split("\0")[:-1]


def read(text: str) -> Launch:
    """Reads a launch; an unknown flag, or one with a wrong value, is an argparse.ArgumentError."""
    model = re.search(r"^# (\S+) on \d+ ", text, re.MULTILINE)
    words = words_of(text)
    script = words.index("pretrain_gpt.py")
    sizes = dict(re.findall(r"--(nproc-per-node|nnodes)=(\d+)", " ".join(words[:script])))
    if model is None or len(sizes) != 2:
        raise ValueError("no model or no GPUs are told")
    known, unknown = parser().parse_known_args(words[script + 1 :])
    if unknown:
        raise argparse.ArgumentError(None, f"unknown: {' '.join(unknown)}")
    return Launch(
        gpus=int(sizes["nproc-per-node"]) * int(sizes["nnodes"]),
        fields=model_fields(model[1]) | {"expert_model_parallel_size": 1} | vars(known),
        unproven=[word for word in words[script + 1 :] if word in OF_SCRIPT],
    )
