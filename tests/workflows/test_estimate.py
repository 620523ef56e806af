"""Profiles estimated from published figures: what they hold, what is refused, and what they say of themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError, UsageError
from planner.schema.profile import Profile
from planner.store.profiles import profile_json, read_profile
from planner.workflows.estimate import Estimated, estimate_profile
from planner.workflows.estimate_options import EstimateOptions


def estimated(model: str = "Llama-3.1-8B", accelerator: str = "H100 SXM", **options: Any) -> Estimated:
    return estimate_profile(EstimateOptions(model, accelerator, **options))


def mistakes(model: str = "Llama-3.1-8B", accelerator: str = "H100 SXM", **options: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        estimated(model, accelerator, **options)
    return str(caught.value).splitlines()


def test_an_estimate_is_never_called_measured_and_stands_on_no_points() -> None:
    profile = estimated().profile
    assert (profile.basis, profile.points, profile.validation) == ("estimated", [], {})
    assert profile.name == "meta-llama/Llama-3.1-8B on 1 × H100 SXM, estimated"
    assert profile.power is None, "a board's limit is no measured power"


def test_a_profile_on_paper() -> None:
    """Llama 3.1 8B in 16 bits: 15.0 GB read at 80 % of 3.35 TB/s, 32 layers of 12 kernels of 3 µs, and 1 ms."""
    step = estimated(max_num_seqs=16).profile.step_time_s
    read = 2 * (8_029_995_008 - 128_256 * 4096)
    assert step.base == pytest.approx(read / (0.8 * 3.35e12) + 32 * 12 * 3e-6 + 1e-3)
    assert step.per_context_token == pytest.approx(131_072 / (0.8 * 3.35e12))
    products = 2 * (8_029_995_008 - 2 * 128_256 * 4096) + 4 * 32 * 32 * 128 * 1024
    assert step.per_prefill_token == pytest.approx(products / (0.45 * 989e12))


def test_memory_on_paper() -> None:
    """80 GiB at 0.9, less 2.5 GB and 16.06 GB of weights, in whole blocks of 16 tokens."""
    profile = estimated().profile
    room = 0.9 * 85_899_345_920 - 2.5e9 - 2 * 8_029_995_008
    assert profile.limits.kv_cache_tokens == room // 131_072 // 16 * 16
    halved = estimated(kv_cache_dtype="fp8").profile
    assert halved.limits.kv_cache_tokens == pytest.approx(2 * profile.limits.kv_cache_tokens, rel=1e-3)


@pytest.mark.parametrize("model", ["Llama-3.1-8B", "gpt-oss-120b", "Qwen3-30B-A3B"])
def test_every_figure_lies_within_its_range_and_ranges_are_wide(model: str) -> None:
    profile = estimated(model, "H200").profile
    assert profile.estimate is not None
    for name, figure in profile.estimate.step_time_s.model_dump().items():
        assert figure["low"] < figure["central"] < figure["high"], name
        assert figure["central"] == getattr(profile.step_time_s, name)
    memory = profile.estimate.kv_cache_tokens
    assert memory.low < memory.central == profile.limits.kv_cache_tokens < memory.high
    for load in profile.estimate.loads:
        assert load.tpot_s.high / load.tpot_s.low > 1.5
        assert load.output_tokens_per_s.central == pytest.approx(load.users / load.tpot_s.central)
    assert [load.users for load in profile.estimate.loads] == [1, 8, 32, 128]


def test_loads_that_do_not_fit_are_not_told() -> None:
    assert [load.users for load in loads(max_num_seqs=8)] == [1, 8]
    assert [load.users for load in loads(gpu_memory_utilization=0.25)] == [1, 8]


def loads(**options: Any) -> list[Any]:
    estimate = estimated(**options).profile.estimate
    assert estimate is not None
    return estimate.loads


def test_tables_dates_and_efficiencies_are_in_the_provenance() -> None:
    text = json.dumps(estimated().profile.provenance)
    entries = json.loads(text)
    assert entries[0]["accelerator"]["name"] == "H100 SXM"
    assert entries[0]["accelerator"]["checked_on"] == "2026-11-26"
    assert "h100_sxm.yaml" in entries[0]["accelerator"]["source"]
    assert "Llama-3.1-8B_config.json" in entries[1]["model"]["source"]
    (efficiencies,) = [entry["efficiencies"] for entry in entries if "efficiencies" in entry]
    assert {"memory_fraction", "compute_fraction", "step_s"} < {row["name"] for row in efficiencies}
    assert all(row["low"] < row["central"] < row["high"] and row["source"] for row in efficiencies)


def test_a_profile_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    profile = estimated("gpt-oss-20b", "RTX 4090").profile
    path = tmp_path / "p.json"
    path.write_text(profile_json(profile))
    assert read_profile(path) == profile


@pytest.mark.parametrize("basis", ["measured", "emulated"])
def test_an_estimate_cannot_pass_for_something_else(tmp_path: Path, basis: str) -> None:
    profile = estimated().profile
    changed = profile.model_copy(update={"basis": basis, "points": [{"load": "none"}]})
    path = tmp_path / "p.json"
    path.write_text(profile_json(changed))
    with pytest.raises(InputFileError, match="estimate: only goes with basis: estimated"):
        read_profile(path)


def test_what_is_left_out_is_told() -> None:
    def left_out(model: str, **options: Any) -> str:
        estimate = estimated(model, "H200", **options).profile.estimate
        assert estimate is not None
        return "\n".join(estimate.not_modelled)

    assert "HTTP" in left_out("Llama-3.1-8B")
    assert "least-squares line" in left_out("Qwen3-30B-A3B")
    assert "the window of 128 tokens of 18 of 36 layers" in left_out("gpt-oss-120b")
    assert "one, joined by its links" in left_out("Llama-3.1-70B", count=2)


def test_a_configuration_file_gives_the_same_as_its_row(tmp_path: Path) -> None:
    config = {
        "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936,
        "max_position_embeddings": 40960, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    by_file, by_name = estimated(str(path)).profile, estimated("Qwen/Qwen3-8B").profile
    assert (by_file.step_time_s, by_file.limits) == (by_name.step_time_s, by_name.limits)
    source = json.loads(json.dumps(by_file.provenance))[1]["model"]
    assert source["file"] == "config.json"
    assert len(source["sha256"]) == 64


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        "nothing", "H300", count=0, dtype="fp7", kv_cache_dtype="fp3", max_num_seqs=0, max_num_batched_tokens=-1,
        gpu_memory_utilization=1.5, max_model_len=0, name=" a",
    )  # fmt: skip
    for option in (
        "--count", "--max-num-seqs", "--max-num-batched-tokens", "--max-model-len", "--gpu-memory-utilization",
        "--name", "--accelerator", "--model", "--dtype", "--kv-cache-dtype",
    ):  # fmt: skip
        assert sum(line.startswith(option) for line in found) == 1, option
    assert "there are: H100 SXM, H100 PCIe" in "\n".join(found)
    assert "meta-llama/Llama-3.1-8B" in "\n".join(found)
    (tmp_path / "config.json").write_text('{"hidden_size": 0}')
    both = mistakes(str(tmp_path), "H300")
    assert any("config.json:1:2: hidden_size: must be a whole number" in line for line in both)
    assert any(line.startswith("--accelerator: H300") for line in both)


def test_names_may_be_written_as_people_write_them() -> None:
    for name in ("h100 sxm", "H100-SXM", "h100", "NVIDIA H100 80GB HBM3"):
        assert estimated(accelerator=name).profile.accelerator.name == "H100 SXM"  # type: ignore[union-attr]
    (told,) = mistakes(accelerator="L40")
    assert "nearest: L40S" in told


@pytest.mark.parametrize(
    ("model", "accelerator", "count", "enough"),
    [("Llama-3.1-70B", "H100 SXM", 1, 2), ("Llama-3.1-70B", "L40S", 2, 4), ("DeepSeek-V3", "H200", 4, 8)],
)
def test_a_model_that_does_not_fit_says_by_how_much_and_how_many_would_do(
    model: str, accelerator: str, count: int, enough: int
) -> None:
    (told,) = mistakes(model, accelerator, count=count)
    assert f"--count {enough} would do" in told
    assert "does not fit" in told
    assert estimated(model, accelerator, count=enough).profile.limits.kv_cache_tokens > 0


def test_how_much_is_lacking_on_paper() -> None:
    """141.105 GB of weights and a block of 16 tokens, in 0.9 of 85.899 GB less 2.5 GB: 66.3 GB are lacking."""
    (told,) = mistakes("Llama-3.1-70B", "H100 SXM")
    assert "its weights take 141.1 GB, and 66.3 GB are lacking of 1 × 85.9 GB" in told


def test_what_no_number_of_accelerators_holds() -> None:
    assert "no number of them up to 64 would do" in mistakes("Llama-3.1-405B", "A10G", gpu_memory_utilization=0.2)[0]


def test_a_model_that_fits_only_if_little_is_kept_for_activations_says_so() -> None:
    """65.5 GB in 16 bits: 0.8 of 85.9 GB leave 0.7 GB for the cache where 2.5 GB are kept, and none where 4.2 are."""
    assert not any("may not fit" in warning for warning in estimated("Qwen3-32B").warnings)
    tight = estimated("Qwen3-32B", gpu_memory_utilization=0.8)
    assert any("may not fit" in warning for warning in tight.warnings)


def test_accelerators_must_share_the_heads() -> None:
    (told,) = mistakes("Llama-3.1-8B", count=3)
    assert told == "--count 3: must divide the model's 32 attention heads; allowed: 1, 2, 4, 8, 16, 32"


def test_a_length_that_does_not_fit_is_refused_where_it_was_asked_for_and_else_cut() -> None:
    assert "the KV cache would hold" in mistakes(accelerator="A10G", max_model_len=100_000)[0]
    cut = estimated(accelerator="A10G")
    assert cut.profile.limits.max_model_len == cut.profile.limits.kv_cache_tokens < 131_072
    assert any("vllm would ask for --max-model-len" in warning for warning in cut.warnings)
    assert estimated(max_model_len=5000).profile.limits.max_model_len == 5000


def test_weights_are_as_asked_for_or_as_configured() -> None:
    def weights(**options: Any) -> tuple[str | None, float]:
        profile = estimated("gpt-oss-20b", **options).profile
        assert profile.model is not None
        assert profile.estimate is not None
        return profile.model.quantization, round(profile.estimate.weights_bytes / 1e9, 1)

    assert weights() == ("mxfp4", 13.7)
    assert weights(quantization="none") == (None, 41.8)
    assert weights(dtype="bfloat16") == ("mxfp4", 13.7), (
        "vllm's --dtype is that of activations where weights have theirs"
    )
    assert weights(dtype="fp8") == ("fp8", 22.1)
    (told,) = mistakes(dtype="fp8", quantization="awq")
    assert "both say how weights are stored" in told


def test_a_configuration_that_does_not_tell_its_bits_must_be_helped(tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
        "intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 512, "tie_word_embeddings": True,
        "quantization_config": {"quant_method": "compressed-tensors"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (told,) = mistakes(str(tmp_path))
    assert told.startswith("--quantization: is missing: the configuration says compressed-tensors")
    assert estimated(str(tmp_path), quantization="int8").profile.model.quantization == "int8"  # type: ignore[union-attr]


def test_products_that_a_machine_cannot_are_computed_in_16_bits_and_that_is_told() -> None:
    narrow = estimated(accelerator="A100", dtype="fp8")
    assert "A100 SXM 80GB has no products in fp8: taken to be computed in 16 bits" in narrow.warnings
    wide: Profile = estimated(accelerator="A100").profile
    assert narrow.profile.step_time_s.per_prefill_token == wide.step_time_s.per_prefill_token
    assert narrow.profile.step_time_s.base < wide.step_time_s.base
