// Launches of other programs become options here: what is read of them, what is named, and what is
// refused.
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

const std::string kMegatronScript = R"(#!/bin/bash
NODES=${NODES:-4}        # of eight GPUs
TP=4; PP=4
MODEL_ARGS=(
    --num-layers 32 --hidden-size 4096
    --num-attention-heads 32
    --ffn-hidden-size 14336
    --group-query-attention --num-query-groups 8
    --swiglu --disable-bias-linear --untie-embeddings-and-output-weights
    --position-embedding-type rope --attention-dropout 0.0 --hidden-dropout 0.0
    --seq-length 8192 --vocab-size 128256 # as its tokenizer has it
)
if [ "${INTERLEAVED:-yes}" = no ]; then
  MODEL_ARGS+=(--recompute-activations)
else
  MODEL_ARGS+=("--num-layers-per-virtual-pipeline-stage 2")
fi
OPTIONS=" --tensor-model-parallel-size $TP \
          --pipeline-model-parallel-size ${PP} \
          --sequence-parallel --use-distributed-optimizer"
echo torchrun --tensor-model-parallel-size 1 --num-layers 1 --hidden-size 1
torchrun --nproc_per_node=8 --nnodes "$NODES" pretrain_gpt.py \
    ${MODEL_ARGS[@]} $OPTIONS \
    --micro-batch-size 1 --global-batch-size $((NODES * 8 * (1 + 1))) \
    --bf16 --lr 3.0e-4 --tp-comm-overlap --save "$1" &> log.txt
)";

/// The value of an option in the section of a subcommand; "" where it has none.
std::string value(const std::string& toml, const std::string& option,
                  const std::string& section = "simulate") {
  bool is_inside = false;
  for (const std::string& line : lines(toml)) {
    is_inside = line.starts_with('[') ? line == "[" + section + "]" : is_inside;
    if (is_inside && line.starts_with(option + " = "))
      return line.substr(option.size() + 3);
  }
  return "";
}

/// Imports `text`, as a file of that name: what stands on stderr where it has to be refused.
std::string refusal(const std::string& framework, const std::string& name, const std::string& text,
                    const std::string& more = "") {
  const TemporaryFolder folder;
  folder.write(name, text);
  const ProcessResult refused =
      run("import " + framework + " " + name + more, {.folder = folder.path()});
  CHECK(refused.exit_code == kBadInput);
  CHECK(refused.out == "");
  return refused.err;
}

}  // namespace

TEST_CASE("A launch script of Megatron-LM becomes options, and nothing of it is run") {
  const TemporaryFolder folder;
  folder.write("train.sh", kMegatronScript + "touch was_run\n");
  const ProcessOptions here{.folder = folder.path()};
  const ProcessResult imported = run("import megatron train.sh", here);
  REQUIRE(imported.exit_code == 0);
  CHECK(value(imported.out, "NAME") == "\"interleaved-1f1b\"");
  CHECK(value(imported.out, "ranks") == "4");
  CHECK(value(imported.out, "chunks") == "4");
  CHECK(value(imported.out, "microbatches") == "32");
  CHECK(value(imported.out, "parallel") == "\"tp=4,cp=1,ep=1,dp=2\"");
  CHECK(value(imported.out, "comm") == "\"stream\"");
  CHECK(value(imported.out, "zero") == "1");
  CHECK(value(imported.out, "sequence") == "8192");
  CHECK(value(imported.out, "recompute") == "");
  CHECK(value(imported.out, "chunks", "compare") == "4");
  CHECK(has(imported.out, "tp-overlap = \"on\""));
  CHECK(has(imported.err, "3 flags do not change the timing"));
  CHECK(has(imported.out, "# not about timing: --bf16 --lr --save"));
  CHECK(folder.listing() == "train.sh");
}

TEST_CASE("Variables and words beside a script stand above what it sets") {
  const TemporaryFolder folder;
  folder.write("train.sh", kMegatronScript);
  const ProcessOptions here{.folder = folder.path()};
  const std::string more = output("import megatron train.sh NODES=16 INTERLEAVED=no", here);
  CHECK(value(more, "NAME") == "\"1f1b\"");
  CHECK(value(more, "comm") == "\"batched\"");
  CHECK(value(more, "parallel") == "\"tp=4,cp=1,ep=1,dp=8\"");
  const std::string flags = output(
      "import megatron train.sh --gpus 64 -- --global-batch-size 256 --fp8-format hybrid", here);
  CHECK(value(flags, "microbatches") == "64");
  CHECK(value(flags, "precision") == "\"fp8\"");
}

TEST_CASE("The options that an import writes are those that simulate, compare and costs take") {
  const TemporaryFolder folder;
  folder.write("train.sh", kMegatronScript);
  const ProcessOptions here{.folder = folder.path()};
  REQUIRE(run("import megatron train.sh --save-model model.json -o job.toml", here).exit_code == 0);
  const std::string hardware = " --hardware h100-sxm";
  CHECK(has(output("--config job.toml simulate" + hardware, here), "interleaved-1f1b: 4 ranks"));
  CHECK(has(output("--config job.toml compare --schedules 1f1b" + hardware, here), "1f1b"));
  CHECK(has(output("--config job.toml explain" + hardware, here), "interleaved-1f1b"));
  CHECK(has(output("--config job.toml costs" + hardware, here), "16 stages"));
  const auto model = nlohmann::json::parse(contents(folder / "model.json"));
  CHECK(model.at("intermediate_size") == 14336);
  CHECK(model.at("num_key_value_heads") == 8);
}

TEST_CASE("A model that is built in is found by its layers") {
  const std::string flags =
      "import megatron --gpus 1024 -- --num-layers 61 --hidden-size 7168 --ffn-hidden-size 18432 "
      "--num-attention-heads 128 --multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 "
      "--qk-head-dim 128 --qk-pos-emb-head-dim 64 --v-head-dim 128 --num-experts 256 "
      "--moe-router-topk 8 --moe-ffn-hidden-size 2048 --moe-shared-expert-intermediate-size 2048 "
      "--moe-router-num-groups 8 --moe-router-group-topk 4 --swiglu --mtp-num-layers 1 "
      "--pipeline-model-parallel-size 16 --expert-model-parallel-size 64 "
      "--pipeline-model-parallel-layout Et*3|(tt|)*29,m|L --overlap-moe-expert-parallel-comm "
      "--moe-layer-freq ";
  const std::string toml = output(flags + "[0]*3+[1]*58");
  CHECK(value(toml, "model") == "\"deepseek-v3\"");
  CHECK(value(toml, "NAME") == "\"interleaved-1f1b-overlap\"");
  CHECK(value(toml, "chunks") == "2");
  CHECK(value(toml, "layout") == "\"Et*3|(tt|)*29,m|L\"");
  CHECK(value(toml, "pair-order") == "\"megatron\"");
  CHECK(value(output(flags + "1"), "model") == "");
  CHECK(has(run(flags + "[0]*3+[1]*50").err, "expected 0 or 1 for each of 61 layers"));
}

TEST_CASE("Layers that Megatron-LM divides unevenly become a layout") {
  const std::string flags =
      "import megatron --gpus 8 -- --num-layers 31 --hidden-size 1024 --num-attention-heads 16 "
      "--vocab-size 32000 --pipeline-model-parallel-size 4 ";
  CHECK(value(output(flags + "--decoder-first-pipeline-num-layers 7"), "layout") ==
        "\"Et*7|(t*8|)*2t*8L\"");
  CHECK(value(output(flags + "--account-for-embedding-in-pipeline-split"), "layout") ==
        "\"Et*7|(t*8|)*2t*8L\"");
  CHECK(
      has(run(flags + "--decoder-last-pipeline-num-layers 6").err, "31 layers cannot be divided"));
}

TEST_CASE("Arguments in a file and Slurm's lines are read like a script") {
  const TemporaryFolder folder;
  folder.write("args.txt", "--tensor-model-parallel-size 2\n--pipeline-model-parallel-size 2\n");
  folder.write("job.sbatch",
               "#!/bin/bash\n#SBATCH --nodes=2 --ntasks-per-node=8\n"
               "srun bash -c \"python pretrain.py --tensor-model-parallel-size 2 \\\n"
               "  --num-layers 8 --global-batch-size 64\"\n");
  const ProcessOptions here{.folder = folder.path()};
  CHECK(value(output("import megatron args.txt --gpus 8", here), "parallel") ==
        "\"tp=2,cp=1,ep=1,dp=2\"");
  const std::string slurm = output("import megatron job.sbatch", here);
  CHECK(value(slurm, "parallel") == "\"tp=2,cp=1,ep=1,dp=8\"");
  CHECK(value(slurm, "microbatches") == "8");
}

TEST_CASE("A job of torchtitan becomes options, by old names and new ones") {
  const TemporaryFolder folder;
  folder.write("job.toml",
               "[model]\nname = \"deepseek_v3\"\nflavor = \"671B\"  # of a [registry]\n"
               "converters = [\n  \"float8\",\n]\n"
               "[training]\nlocal_batch_size = 32\nseq_len = 4096\nsteps = 10_000\n"
               "[parallelism]\npipeline_parallel_degree = 8\nexpert_parallel_degree = 32\n"
               "pipeline_parallel_schedule = \"DualPipeV\"\n"
               "[activation_checkpoint]\nmode = 'full'\n");
  folder.write("old.toml",
               "[training]\nbatch_size = 8\ntensor_parallel_degree = 2\n[experimental]\n"
               "pipeline_parallel_degree = 2\npipeline_parallel_schedule = \"interleaved_1f1b\"\n"
               "pipeline_parallel_split_points = \"layers.2, layers.4, layers.6\"\n");
  const ProcessOptions here{.folder = folder.path()};
  const std::string toml = output("import torchtitan job.toml --gpus 512", here);
  CHECK(value(toml, "NAME") == "\"dualpipev\"");
  CHECK(value(toml, "model") == "\"deepseek-v3\"");
  CHECK(value(toml, "parallel") == "\"tp=1,cp=1,ep=32,dp=64\"");
  CHECK(value(toml, "layout") == "\"Et*3|(t*4|)*14t*2mL\"");
  CHECK(value(toml, "microbatches") == "32");
  CHECK(value(toml, "precision") == "\"fp8\"");
  CHECK(value(toml, "recompute") == "\"full\"");
  CHECK(value(toml, "comm") == "\"torch\"");
  CHECK(value(toml, "zero") == "1");
  const std::string old = output("import torchtitan old.toml --gpus 8", here);
  CHECK(value(old, "NAME") == "\"interleaved-1f1b-torch\"");
  CHECK(value(old, "chunks") == "2");
  CHECK(value(old, "parallel") == "\"tp=2,cp=1,ep=1,dp=2\"");
  const std::string flags = output(
      "import torchtitan job.toml --gpus 64 -- --parallelism.pipeline-parallel-degree=1 "
      "--parallelism.expert_parallel_degree 8 --training.global_batch_size 4096",
      here);
  CHECK(value(flags, "NAME") == "\"1f1b\"");
  CHECK(value(flags, "microbatches") == "2");
  CHECK(value(flags, "zero") == "3");
}

TEST_CASE("A CSV that torchtitan takes is a program here") {
  const std::string toml = output(
      "import torchtitan -- --parallelism.pipeline_parallel_schedule_csv my.csv "
      "--parallelism.pipeline_parallel_degree 4");
  CHECK(value(toml, "program") == "\"my.csv\"");
  CHECK(value(toml, "NAME") == "");
}

TEST_CASE("DeepSpeed's JSON and flags become options together") {
  const TemporaryFolder folder;
  folder.write("ds.json", R"({"train_batch_size": 256, "train_micro_batch_size_per_gpu": 4,)"
                          R"( "zero_optimization": {"stage": 1, "overlap_comm": true},)"
                          R"( "bf16": {"enabled": true}, "optimizer": {"params": {"lr": 1}}})");
  folder.write("run.sh",
               "cat <<EOT > ds.json\n{\"train_batch_size\": $((64*2)),\n"
               " \"gradient_accumulation_steps\": 32}\nEOT\n"
               "deepspeed --num_gpus 8 pretrain.py --pipeline-model-parallel-size 4 \\\n"
               "  --tensor-model-parallel-size 1 --num-layers 8 --micro-batch-size 2\n");
  const ProcessOptions here{.folder = folder.path()};
  const std::string json = output("import deepspeed ds.json --gpus 32 -- -p 4", here);
  CHECK(value(json, "ranks") == "4");
  CHECK(value(json, "microbatches") == "8");
  CHECK(value(json, "zero") == "1");
  CHECK(value(json, "reduce") == "\"overlapped\"");
  CHECK(value(json, "comm") == "\"batched\"");
  CHECK(value(output("import deepspeed run.sh", here), "microbatches") == "32");
  folder.write("short.sh", "mkdir -p out\ndeepspeed train.py -p 2 --steps 200 | tee -a log\n");
  CHECK(value(output("import deepspeed short.sh ds.json --gpus 8", here), "ranks") == "2");
  const ProcessResult contrary =
      run("import deepspeed ds.json --gpus 32 -- -p 4 --gradient_accumulation_steps 3", here);
  CHECK(has(contrary.err, "3 · micro-batch size 4 · dp 8 is not the batch, 256"));
  CHECK(has(run("import deepspeed ds.json -- -p 4 --zero-stage 3", here).err,
            "zero_optimization.stage, which says the same, is '1'"));
  CHECK(has(run("import deepspeed -- -p 4 --zero-stage 3", here).err, "0 and 1 alone"));
}

TEST_CASE("An unknown flag is named, with the nearest one that is known") {
  const ProcessResult imported =
      run("import megatron --gpus 8 -- --tensor-model-paralel-size 8 --frobnicate 3");
  CHECK(imported.exit_code == kBadInput);  // nothing of it is known
  const std::string note = run("import megatron --gpus 8 -- --pipeline-model-parallel-size 8 "
                               "--tensor-model-paralel-size 8 --frobnicate 3")
                               .err;
  CHECK(has(note,
            "--tensor-model-paralel-size: unknown, and left out; did you mean "
            "'--tensor-model-parallel-size'?"));
  CHECK(has(note, "--frobnicate: unknown, and left out"));
}

TEST_CASE("Launches that contradict themselves are refused by file, line and flag") {
  const auto of_flags = [](const std::string& flags) {
    return refusal("megatron", "a.sh", "torchrun --nproc-per-node 8 \\\n " + flags + "\n");
  };
  CHECK(has(of_flags("--tensor-model-parallel-size 3 --num-layers 8 --seq-length 1"),
            "a.sh:1: --nproc-per-node: 8 GPUs are no multiple of tp 3"));
  CHECK(has(of_flags("--global-batch-size 12 --num-layers 8 --seq-length 1"),
            "a.sh:2: --global-batch-size: a global batch of 12 is no multiple of dp 8"));
  CHECK(has(of_flags("--num-experts x --num-layers 8 --hidden-size 8 --num-attention-heads 8"),
            "a.sh:2: --num-experts: expected a whole number from 0, got 'x'"));
  CHECK(has(of_flags("--num-layers $LAYERS --hidden-size 8 --seq-length 1"),
            "got '$LAYERS': give LAYERS=N behind the script"));
  CHECK(has(of_flags("--num-virtual-stages-per-pipeline-rank 2 --num-layers 8 "
                     "--virtual-pipeline-model-parallel-size 4"),
            "which says the same, is '2'"));
  CHECK(has(of_flags("--num-layers-per-virtual-pipeline-stage 3 --num-layers 8 --seq-length 1"),
            "8 layers cannot be divided over 1 ranks in stages of 3"));
  CHECK(has(refusal("torchtitan", "a.toml",
                    "[parallelism]\npipeline_parallel_degree = 2\n"
                    "pipeline_parallel_schedule = \"Interleaved1F1\"\n"),
            "a.toml:3: parallelism.pipeline_parallel_schedule: there is no schedule "
            "'Interleaved1F1'; did you mean 'Interleaved1F1B'?"));
}

TEST_CASE("Files that cannot be read are refused by file and line") {
  CHECK(has(refusal("megatron", "a.sh", "A=1\nARGS=(--x 1\n"), "a.sh:2: expected a ')'"));
  CHECK(has(refusal("megatron", "a.sh", "\necho \"x\n"), "a.sh:2: expected a second \""));
  CHECK(has(refusal("megatron", "a.sh", "X=${Y:-1\n"), "a.sh:1: expected a '}'"));
  CHECK(has(refusal("megatron", "a.sh", "if [ a = a ]; then\n"), "a.sh:1: 'if' has no end"));
  CHECK(has(refusal("megatron", "a.sh", "cat <<END\nx\n"), "expected a line 'END'"));
  CHECK(has(refusal("megatron", "a.sh", "echo hello\n"), "no flag of Megatron-LM"));
  CHECK(has(refusal("megatron", "a.sh", ""), "a.sh: is empty"));
  CHECK(has(refusal("megatron", "a.sh",
                    std::string("\x7f"
                                "ELF\0\1",
                                6)),
            "a.sh: is no text"));
  CHECK(has(refusal("megatron", "a.sh", std::string(10'000'000, 'x')), "is larger than"));
  CHECK(
      has(refusal("torchtitan", "a.toml", "[model]\nx = [1,\n"), "a.toml:2: expected as many ']'"));
  CHECK(has(refusal("torchtitan", "a.toml", "[model\n"), "a.toml:1: expected as many ']'"));
  CHECK(has(refusal("deepspeed", "a.json", "{\"train_batch_size\": }"), "a.json"));
  CHECK(run("import megatron nosuch.sh").exit_code == kBadInput);
  CHECK(run("import megatron").exit_code == kUsage);
  CHECK(has(run("import megatorn x").err, "did you mean 'megatron'?"));
  CHECK(run("import megatron --gpus x -- --num-layers 8").exit_code == kUsage);
}

TEST_CASE("What only a run could decide, and loops and functions, are refused by file and line") {
  const auto of_script = [](const std::string& text) { return refusal("megatron", "a.sh", text); };
  CHECK(has(of_script("A=1\nif [ -f x ]; then\nfi\n"), "a.sh:2: '[ -f x ]' is not decided"));
  CHECK(has(of_script("if [ $(nproc) -eq 8 ]; then\nfi\n"), "is not decided without a run"));
  CHECK(has(of_script("if hostname; then\nfi\n"), "a.sh:1: 'hostname' is not decided"));
  CHECK(has(of_script("\nfor i in 1 2; do\n:\ndone\n"), "a.sh:2: 'for' is not followed"));
  CHECK(has(of_script("case x in\nesac\n"), "a.sh:1: 'case' is not followed"));
  CHECK(has(of_script("f() {\n:\n}\n"), "a.sh:1: functions and ( … ) are not followed"));
  CHECK(has(of_script("if [ -z $X ]; then\nexit 1\nfi\n"), "a.sh:2: the script ends here"));
  const TemporaryFolder folder;
  folder.write("a.sh",
               "if [ 3 -eq $((1 + 2)) ] && [ -z $NO ]; then P=4\nelif [ -f x ]; then P=x\n"
               "else for i in 1; do P=8; done; fi\n[ -n $NO ] && P=3\n"
               "torchrun --pipeline-model-parallel-size $P 2>&1 | tee log || exit 1\n");
  const std::string toml = output("import megatron a.sh --gpus 8", {.folder = folder.path()});
  CHECK(value(toml, "ranks") == "4");
}

TEST_CASE("Scripts that grow without end are refused soon") {
  std::string doubled = "A=xxxxxxxxxxxxxxxx\n";
  for (int i = 0; i < 60; ++i)
    doubled += "A=$A$A\n";
  CHECK(has(refusal("megatron", "a.sh", doubled), "grow beyond"));
  std::string deep = "A=";
  for (int i = 0; i < 10'000; ++i)
    deep += "${X:-";
  CHECK(has(refusal("megatron", "a.sh", deep + std::string(10'000, '}')), "expected at most 32"));
  const std::string sum(100'000, '(');
  CHECK(has(refusal("megatron", "a.sh", "A=$((" + sum + "\n"), "expected a ')'"));
}

TEST_CASE("The documents have the flags that an import reads") {
  for (const std::string name : {"megatron", "torchtitan", "deepspeed"}) {
    CAPTURE(name);
    const std::string document = contents(source_file("docs/from-" + name + ".md"));
    CHECK(has(document, output("import " + name + " --flags")));
  }
}

}  // namespace bubblescope
