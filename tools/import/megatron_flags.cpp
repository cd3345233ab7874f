#include "tools/import/launch.h"

namespace bubblescope {
namespace {

constexpr Flag kMegatronFlags[] = {
    {"--nproc-per-node --num-gpus", "GPUs of a node; GPUs / (tp · cp · pp) is dp"},
    {"--nnodes --num-nodes", "nodes"},
    {"--nodes", "nodes, for Slurm: where the launcher does not tell them"},
    {"--ntasks-per-node --gpus-per-node", "GPUs of a node, for Slurm"},
    {"--world-size", "GPUs"},
    {"--tensor-model-parallel-size --model-parallel-size", "`--parallel tp=`"},
    {"--pipeline-model-parallel-size --pipe-parallel-size", "`-p`"},
    {"--context-parallel-size", "`--parallel cp=`"},
    {"--cp-comm-type", "`--cp-comm` ring for p2p, the default, allgather, alltoall for a2a"},
    {"--expert-model-parallel-size --moe-expert-parallel-size", "`--parallel ep=`"},
    {"--expert-tensor-parallel-size",
     "1, where ep is more than 1, and tp where it is 1; others, of which tp is the default, are "
     "noted"},
    {"--tp-comm-overlap", "`--tp-overlap on`"},
    {"--sequence-parallel",
     "`--sequence-parallel off` where it is not given and tp is more than 1"},
    {"--num-layers-per-virtual-pipeline-stage", "`-v` layers / p / K"},
    {"--num-virtual-stages-per-pipeline-rank --virtual-pipeline-model-parallel-size", "`-v`"},
    {"--microbatch-group-size-per-virtual-pipeline-stage --microbatch-group-size-per-vp-stage",
     "`--group-size`, with virtual stages"},
    {"--pipeline-model-parallel-layout", "`--layout`, and `-v` from its number of stages"},
    {"--decoder-first-pipeline-num-layers", "a `--layout`"},
    {"--decoder-last-pipeline-num-layers", "a `--layout`"},
    {"--account-for-embedding-in-pipeline-split", "a `--layout`"},
    {"--account-for-loss-in-pipeline-split", "a `--layout`"},
    {"--no-overlap-p2p-communication", "`--comm batched`, with interleaving too"},
    {"--overlap-moe-expert-parallel-comm",
     "schedule `interleaved-1f1b-overlap`, `--pair-order megatron`"},
    {"--micro-batch-size --batch-size", "`--microbatch-size`"},
    {"--global-batch-size", "`-m` global batch / (dp · micro-batch size)"},
    {"--seq-length", "`--sequence`"},
    {"--fp8-format --fp8", "`--precision fp8`"},
    {"--fp8-recipe",
     "`--fp8-recipe` tensor for delayed, the default, and tensorwise, block for blockwise, mxfp8"},
    {"--moe-token-dispatcher-type",
     "`--dispatch alltoall`; for flex `--dispatch` as the next one says, deepep by default"},
    {"--moe-flex-dispatcher-backend", "`--dispatch` deepep or hybridep"},
    {"--moe-enable-deepep", "`--dispatch deepep`"},
    {"--cross-entropy-loss-fusion", "`--loss unfused` where it is not given"},
    {"--recompute-granularity", "`--recompute`, selective or full"},
    {"--recompute-activations", "`--recompute selective`, as the next ones say"},
    {"--checkpoint-activations --deepspeed-activation-checkpointing "
     "--activations-checkpoint-method",
     "`--recompute full`"},
    {"--recompute-method",
     "`uniform` is what `--recompute full` does; for `block` see the next one"},
    {"--recompute-num-layers", "`--recompute-layers`, with the method `block`"},
    {"--recompute-modules",
     "`--recompute` with these modules; `core_attn` alone, which is the default, recomputes "
     "nothing "
     "where attention is fused, and `shared_experts` is noted"},
    {"--use-distributed-optimizer", "`--zero 1`; without it `--zero 0`"},
    {"--use-megatron-fsdp --use-custom-fsdp --use-torch-fsdp2",
     "`--zero` as the next one says, 3 by default"},
    {"--data-parallel-sharding-strategy",
     "`--zero` 0, 1, 2, 3 for no_shard, optim, optim_grads, optim_grads_params"},
    {"--overlap-grad-reduce", "`--reduce overlapped`"},
    {"--overlap-param-gather", "`--gather overlapped`"},
    {"--grad-reduce-in-bf16", "`--gradients bf16`"},
    {"--exp-avg-dtype", "`--moments bf16` where it has 16 bits or fewer"},
    {"--attention-backend", "`--attention unfused` for unfused and local"},
    {"--num-layers", "model `num_hidden_layers`"},
    {"--hidden-size", "model `hidden_size`"},
    {"--num-attention-heads", "model `num_attention_heads`"},
    {"--num-key-value-heads", "model `num_key_value_heads`"},
    {"--group-query-attention", "model, with the next one"},
    {"--num-query-groups", "model: heads of keys and values"},
    {"--kv-channels", "model `head_dim`"},
    {"--ffn-hidden-size", "model `intermediate_size`"},
    {"--vocab-size", "model: the vocabulary, below `--padded-vocab-size`"},
    {"--padded-vocab-size", "model `vocab_size`"},
    {"--swiglu --quick-geglu", "model: a gated MLP, by default of two thirds the width"},
    {"--squared-relu", "model: relu2"},
    {"--max-position-embeddings", "model, where positions are learned"},
    {"--position-embedding-type", "model: learned_absolute, the default, has parameters"},
    {"--use-rotary-position-embeddings --no-position-embedding", "model: no learned positions"},
    {"--untie-embeddings-and-output-weights", "model: a head of its own"},
    {"--attention-dropout", "model: dropout, unless it and the next one are 0"},
    {"--hidden-dropout", "model: dropout"},
    {"--disable-bias-linear", "model: no biases"},
    {"--add-qkv-bias", "model `attention_bias`"},
    {"--qk-layernorm", "model `query_key_norm`"},
    {"--num-experts", "model `n_routed_experts`"},
    {"--moe-ffn-hidden-size", "model `moe_intermediate_size`"},
    {"--moe-router-topk --topk", "model `num_experts_per_tok`"},
    {"--moe-shared-expert-intermediate-size", "model `shared_expert_intermediate_size`"},
    {"--moe-router-num-groups", "model `n_group`"},
    {"--moe-router-group-topk", "model `topk_group`"},
    {"--moe-layer-freq", "model: dense layers in front; of others none is made"},
    {"--multi-latent-attention", "model, with the next ones"},
    {"--q-lora-rank", "model `q_lora_rank`"},
    {"--kv-lora-rank", "model `kv_lora_rank`"},
    {"--qk-head-dim", "model `qk_nope_head_dim`"},
    {"--qk-pos-emb-head-dim", "model `qk_rope_head_dim`"},
    {"--v-head-dim", "model `v_head_dim`"},
    {"--mtp-num-layers", "model `num_nextn_predict_layers`"},
    {"--spec --hybrid-layer-pattern --hybrid-override-pattern --experimental-attention-variant "
     "--heterogeneous-layers-config-path --encoder-num-layers",
     "no model is made"},
};

constexpr Flag kMegatronWithoutCounterpart[] = {
    {"--fp4-format --mamba-* --linear-* --hybrid-* --is-hybrid-model --encoder-* "
     "--decoder-num-layers --decoder-seq-length --perform-rl-step --rl-* --grpo-*",
     "not modelled"},
    {"--fp8-param-gather --fp8-param", "parameters are gathered in bf16"},
    {"--first-last-layers-bf16 --num-layers-at-start-in-bf16 --num-layers-at-end-in-bf16",
     "all layers have one precision"},
    {"--tp-comm-overlap-*", "which products hide the tensor group's communication is not told"},
    {"--overlap-param-gather-*", "parameters are gathered beside forwards, all alike"},
    {"--overlap-p2p-communication-warmup-flush", "`--comm stream` overlaps there in any case"},
    {"--defer-embedding-wgrad-compute --wgrad-deferral-limit",
     "the output layer's weight gradients stay in the last stage's B"},
    {"--delay-wgrad-compute",
     "the weight gradients of a pair stand where `--pair-order` puts them"},
    {"--moe-shared-expert-overlap", "shared experts compute beside nothing"},
    {"--moe-expert-capacity-factor --moe-pad-expert-input-to-capacity", "routing is balanced"},
    {"--moe-latent-size", "experts take the hidden size"},
    {"--hierarchical-context-parallel-sizes", "the context group has one level"},
    {"--cuda-graph-* --enable-cuda-graph --external-cuda-graph",
     "gaps between kernels stay as the hardware's file has them"},
    {"--distribute-saved-activations", "saved activations are whole"},
    {"--fine-grained-activation-offloading --offload-modules --cpu-offloading* "
     "--optimizer-cpu-offload --optimizer-offload-fraction",
     "nothing is offloaded"},
    {"--use-precision-aware-optimizer --exp-avg-sq-dtype --main-params-dtype --main-grads-dtype",
     "among the optimizer's types, `--moments` follows --exp-avg-dtype alone"},
    {"--megatron-fsdp-* --outer-dp-sharding-strategy --fsdp-double-buffer",
     "`--zero` alone says what is divided"},
    {"--num-distributed-optimizer-instances", "the optimizer is divided over all of dp"},
    {"--rampup-batch-size", "the full batch is simulated"},
    {"--window-size --window-attn-skip-freq", "attention is causal over the whole sequence"},
    {"--use-tp-pp-dp-mapping", "GPUs are numbered tp, cp, dp, pp"},
    {"--standalone-embedding-stage", "the embedding is in the first stage"},
    {"--optimizer", "the update is Adam's"},
    {"--lora-* --peft*", "all parameters are trained"},
};

/// Data, logging, checkpoints, learning rate, fault tolerance, and fusions that are taken for
/// granted do not change the timing.
constexpr std::string_view kMegatronSilent =
    "--node-rank --master-* --rdzv-* --standalone --tee --redirects --max-restarts --role "
    "--local-rank --hostfile --include --exclude --force-multi --launcher --no-python --module "
    "--container-* --no-container* --job-name --partition --account --time --exclusive --mem "
    "--output --error --export --dependency --label --cpus-per-task --gpu-bind --cpu-bind "
    "--kill-on-bad-exit --qos --reservation --comment --train-* --lr --lr-* --min-lr --decoupled-* "
    "--override-opt* --use-checkpoint-* --warmup --weight-decay* --start-weight-decay "
    "--end-weight-decay --clip-grad --adam-* --sgd-* --muon-* --seed --init-method-* --data-* "
    "--split --mock-data --vocab-file --merge-file --tokenizer-* --tiktoken-* --num-workers "
    "--valid-data-path --test-data-path --num-dataset-* --mmap* --no-mmap* "
    "--no-create-attention-mask* --reset-* --eod-mask-loss --dataloader-* --mask-* --log-* "
    "--logging-* --timing-* --tensorboard-* --wandb-* --one-logger* --profile* "
    "--use-pytorch-profiler --record-memory-history --straggler-* --save --save-* --load --load-* "
    "--no-save-* --no-load-* --ckpt-* --dist-ckpt-* --use-dist-ckpt --async-* --auto-detect-* "
    "--finetune --pretrained-* --exit-* --eval-* --skip-train --non-persistent-* "
    "--use-persistent-* --rerun-* --check-* --no-check-* --ft-* --enable-ft-* "
    "--distributed-backend --distributed-timeout-* --use-cpu-initialization "
    "--perform-initialization --init-model-with-meta-device --deterministic-mode "
    "--use-mcore-models --use-legacy-models --transformer-impl --enable-experimental --yaml-cfg "
    "--bf16 --fp16 --normalization --use-flash-attn* --attention-softmax-in-fp32 "
    "--apply-query-key-layer-scaling --apply-layernorm-1p --norm-epsilon --layernorm-epsilon "
    "--rotary-* --rope-* --use-rope-* --mscale* --no-rope-fusion --no-bias-* "
    "--no-masked-softmax-fusion --no-gradient-accumulation-fusion --no-persist-layer-norm "
    "--cross-entropy-fusion-impl --moe-grouped-gemm --moe-permute-fusion --moe-aux-loss-coeff "
    "--moe-z-loss-coeff --moe-router-* --moe-use-* --moe-per-layer-logging --moe-deepep-* "
    "--mtp-loss-* --accumulate-allreduce-grads-in-fp32 --ddp-* --use-nccl-ub --disable-gloo-* "
    "--nccl-* --use-sharp --manual-gc* --empty-unused-memory-level --calculate-per-token-loss "
    "--loss-scale* --initial-loss-scale --min-loss-scale --hysteresis --fp8-* --te-* "
    "--make-vocab-size-divisible-by --openai-gelu --inference-* --DDP-impl --no-async-* "
    "--no-query-key-layer-scaling --use-ring-exchange-p2p --hf-* --num-epochs --moe-loss-coeff "
    "--disable-moe-token-dropping --create-moe-param-group --mlp-type";

}  // namespace

const Framework kMegatron = {.name = "megatron",
                             .title = "Megatron-LM",
                             .read = kMegatronFlags,
                             .without_counterpart = kMegatronWithoutCounterpart,
                             .silent = kMegatronSilent,
                             .translate = translate_megatron};

}  // namespace bubblescope
