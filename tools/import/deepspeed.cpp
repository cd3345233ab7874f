#include <fmt/format.h>

#include "tools/import/launch.h"

namespace bubblescope {
namespace {

constexpr Flag kDeepSpeedFlags[] = {
    {"--pipeline-model-parallel-size --pipe-parallel-size --pipeline-parallel-size -p "
     "pipeline.stages",
     "`-p`"},
    {"--tensor-model-parallel-size --model-parallel-size tensor_parallel.autotp_size",
     "`--parallel tp=`"},
    {"train_batch_size --global-batch-size", "`-m` batch / (dp · micro-batch size)"},
    {"train_micro_batch_size_per_gpu --micro-batch-size --batch-size", "`--microbatch-size`"},
    {"gradient_accumulation_steps --gradient-accumulation-steps",
     "`-m`; the batch has to be this times dp · micro-batch size"},
    {"zero_optimization.stage --zero-stage", "`--zero`; with a pipeline DeepSpeed takes 0 and 1"},
    {"--deepspeed-config", "noted where no file tells the stage of ZeRO"},
    {"zero_optimization.overlap_comm", "`--reduce overlapped`"},
    {"data_types.grad_accum_dtype communication_data_type", "`--gradients bf16` for bf16"},
    {"--enable-zbh1-pipeline --enable-zbh1-exact-semantics", "schedule `zb-h1`"},
};

constexpr Flag kDeepSpeedWithoutCounterpart[] = {
    {"activation_checkpointing.*", "saved activations are whole, and stay on the GPU"},
    {"sequence_parallel_size --ds-sequence-parallel-size",
     "DeepSpeed's Ulysses is not modelled: give `--parallel cp=`"},
    {"pipeline.*", "stages have the layers that `--layout` gives them"},
    {"zero_optimization.zero_hpz_* zero_optimization.zero_quantized_* zero_optimization.mics_*",
     "ZeRO++ is not modelled"},
    {"zero_optimization.cpu_offload* zero_optimization.offload_optimizer.device "
     "zero_optimization.offload_param.device",
     "nothing is offloaded"},
    {"curriculum_learning.*", "all sequences are as long"},
    {"data_efficiency.* compression_training.* hybrid_engine.* moe.*", "not modelled"},
};

constexpr std::string_view kDeepSpeedSilent =
    "optimizer.* scheduler.* fp16.* bf16.* amp.* gradient_clipping prescale_gradients "
    "gradient_predivide_factor sparse_gradients steps_per_print wall_clock_breakdown dump_state "
    "flops_profiler.* tensorboard.* wandb.* csv_monitor.* comet.* comms_logger.* monitor_config.* "
    "checkpoint.* data_types.* aio.* elasticity.* autotuning.* eigenvalue.* nebula.* "
    "zero_allow_untested_optimizer zero_force_ds_cpu_optimizer zero_optimization.* "
    "graph_harvesting torch_autocast.* compile.* seed memory_breakdown "
    "--deepspeed --deepscale* --deepspeed-mpi --no-pipeline-parallel "
    "--zero-* --cpu-optimizer --data-impl --steps --moe-loss-coeff --moe-train-* "
    "--moe-eval-* --moe-min-capacity --disable-moe-token-dropping --create-moe-param-group "
    "--mlp-type";

void translate(LaunchedJob& launch) {
  constexpr const char* kSteps = "gradient_accumulation_steps";
  constexpr const char* kStage = "zero_optimization.stage";
  const Count data = translate_megatron_job(launch);
  const std::int64_t size = launch.count_or_1("train_micro_batch_size_per_gpu");
  const auto steps = launch.count(kSteps);
  const auto batch = launch.count("train_batch_size");
  launch.set("microbatch-size", size);
  if (!steps || (batch && data))
    launch.set_microbatches("train_batch_size", size, data);
  else
    launch.set("microbatches", *steps);
  if (steps && batch && data && *steps * size * *data != *batch)
    launch.fail(kSteps, fmt::format("{} · micro-batch size {} · dp {} is not the batch, {}", *steps,
                                    size, *data, *batch));
  const auto zero = launch.count(kStage, 0);
  const bool has_pipeline = launch.count_or_1("--pipeline-model-parallel-size") > 1;
  if (zero.value_or(0) > (has_pipeline ? 1 : 3))
    launch.fail(kStage,
                has_pipeline ? "DeepSpeed's pipeline takes 0 and 1 alone" : "expected 0 to 3");
  launch.set("NAME", launch.has("--enable-zbh1-pipeline") ? "zb-h1" : "1f1b");
  launch.set("comm", "batched");
  launch.set("zero", zero.value_or(0));
  if (launch.text("data_types.grad_accum_dtype") == "bf16")
    launch.set("gradients", "bf16");
  if (!zero)
    launch.note_of("--deepspeed-config", "give that file too, if it is not there: no ZeRO is told");
  translate_megatron_training(launch);
}

}  // namespace

const Framework kDeepspeed = {.name = "deepspeed",
                              .title = "DeepSpeed",
                              .read = kDeepSpeedFlags,
                              .without_counterpart = kDeepSpeedWithoutCounterpart,
                              .silent = kDeepSpeedSilent,
                              .base = &kMegatron,
                              .translate = translate};

}  // namespace bubblescope
