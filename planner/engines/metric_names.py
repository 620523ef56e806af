"""What vLLM's `/metrics` calls the things that we look at, by version: the one place to mend when a name changes.

Names as they stand on the page, the newest first; the first that a page has is taken. Those of vLLM 0.26 and 0.32 are
the same; others are of earlier versions with the V1 engine, as far back as 0.8.
"""

from collections.abc import Mapping
from typing import Literal

Gauge = Literal["running", "waiting", "kv_used_fraction"]
Count = Literal[
    "requests",
    "prompt_tokens",
    "output_tokens",
    "preemptions",
    "prefix_cache_queries_tokens",
    "prefix_cache_hits_tokens",
]
Time = Literal["ttft_s", "itl_s", "e2e_s", "queue_s"]

STARTED = "process_start_time_seconds"
"""When the process started, on its wall clock [s]: a name of Prometheus' own."""

GAUGES: Mapping[Gauge, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "kv_used_fraction": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),  # 0 to 1 in spite of its name
}

COUNTS: Mapping[Count, tuple[str, ...]] = {
    "requests": ("vllm:request_success_total",),
    "prompt_tokens": ("vllm:prompt_tokens_total",),  # with those out of the prefix cache
    "output_tokens": ("vllm:generation_tokens_total",),
    "preemptions": ("vllm:num_preemptions_total",),
    "prefix_cache_queries_tokens": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefix_cache_hits_tokens": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
}

BROKEN_OFF = frozenset({"finished_reason=abort", "finished_reason=error"})
"""Labels of requests among those counted as ended that did not end whole; some versions count them and some do not."""

TIMES: Mapping[Time, tuple[str, ...]] = {
    "ttft_s": ("vllm:time_to_first_token_seconds",),
    "itl_s": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    "e2e_s": ("vllm:e2e_request_latency_seconds",),
    "queue_s": ("vllm:request_queue_time_seconds",),
}
