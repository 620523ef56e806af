"""What the server measures of itself, under the names and in the buckets of vLLM 0.32."""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from math import inf

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from planner.engines.emulator.clock import Job, Load, Step
from planner.schema.profile import Limits

_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
    *(160.0, 640.0, 2560.0),
)
_INTER_TOKEN_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0),
    *(1920.0, 7680.0),
)
_STEP_TOKENS = (1, 8, *(2**power for power in range(4, 15)))
_LATENESS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 10.0)
_FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")


class Histogram:
    """Counts by upper edge, and the sum."""

    def __init__(self, edges: Iterable[float]) -> None:
        self._edges = tuple(float(edge) for edge in edges)
        self._counts = [0] * (len(self._edges) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts a value."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def edge(self, fraction: float) -> float:
        """The lowest edge that so large a fraction of the values does not exceed; infinite beyond the last."""
        total, needed = 0, fraction * sum(self._counts)
        for edge, count in zip(self._edges, self._counts, strict=False):
            total += count
            if total >= needed:
                return edge
        return inf

    def family(self, name: str, documentation: str, labels: dict[str, str]) -> HistogramMetricFamily:
        """As Prometheus knows histograms: each bucket counts the ones below it too."""
        family = HistogramMetricFamily(name, documentation, labels=list(labels))
        buckets, total = [], 0
        for edge, count in zip((*map(str, self._edges), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((edge, float(total)))
        family.add_metric(list(labels.values()), buckets, self._sum)
        return family


class Metrics(Collector):
    """Counters of one server.

    Args:
        model: the model's name, for the labels.
        limits: of the engine.
    """

    def __init__(self, model: str, limits: Limits) -> None:
        self.load = Load()
        self.lateness_max_s = 0.0
        self._limits = limits
        self._labels = {"model_name": model, "engine": "0"}
        self._last_token_s: dict[Job, float] = {}
        self._prompt_tokens = self._generation_tokens = 0
        self._finished = dict.fromkeys(_FINISHED_REASONS, 0)
        self._first_token_s, self._inter_token_s = Histogram(_FIRST_TOKEN_S), Histogram(_INTER_TOKEN_S)
        self._e2e_s, self._queue_s = Histogram(_REQUEST_S), Histogram(_REQUEST_S)
        self._step_tokens = Histogram(_STEP_TOKENS)
        self._lateness_s = Histogram(_LATENESS_S)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # above all its start, by which a restart is seen

    def observe(self, step: Step) -> None:
        """Counts a step whose tokens have just been written."""
        now_s = time.monotonic()
        prompt_tokens = 0
        for job in step.emitted:
            before_s = self._last_token_s.get(job)
            if before_s is None:
                prompt_tokens += job.prompt_tokens
                self._first_token_s.observe(now_s - job.received_s)
            else:
                self._inter_token_s.observe(now_s - before_s)
            self._last_token_s[job] = now_s
        for job in step.finished:
            self._finished["length"] += 1
            self._e2e_s.observe(now_s - job.received_s)
            self._queue_s.observe(max(0.0, (job.joined_s or job.arrived_s) - job.arrived_s))
        self._finished["abort"] += len(step.aborted)
        for job in (*step.finished, *step.aborted):
            self._last_token_s.pop(job, None)
        self._prompt_tokens += prompt_tokens
        self._generation_tokens += len(step.emitted)
        if step.emitted:
            lateness_s = max(0.0, now_s - step.due_s)
            self._lateness_s.observe(lateness_s)
            self.lateness_max_s = max(self.lateness_max_s, lateness_s)
            # As vLLM counts: a prompt in the step that completes it, whatever the chunks it was computed in.
            self._step_tokens.observe(prompt_tokens + len(step.emitted))

    def lateness(self) -> str:
        """How well planned times were kept, in a sentence."""
        if not self.lateness_max_s:
            return "no tokens were generated"
        p99_s, max_s = self._lateness_s.edge(0.99), self.lateness_max_s
        return (
            f"{self._generation_tokens:,} tokens; 99 % of steps were written within {min(p99_s, max_s) * 1e3:.1f} ms "
            f"of their planned time, the latest {max_s * 1e3:.1f} ms after it"
        )

    def text(self, load: Load) -> bytes:
        """Everything in Prometheus' text format."""
        self.load = load
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All metrics, as prometheus_client asks for them."""
        load, limits = self.load, self._limits
        yield self._gauge("vllm:num_requests_running", "Requests that are being served.", load.running)
        yield self._gauge("vllm:num_requests_waiting", "Requests in the queue.", load.waiting)
        yield self._gauge(
            "vllm:kv_cache_usage_perc", "Share of the KV cache in use, from 0 to 1.", load.kv_cache_usage_fraction
        )
        config = {
            "block_size": str(limits.block_tokens),
            "num_gpu_blocks": str(limits.kv_cache_tokens // limits.block_tokens),
            "kv_cache_size_tokens": str(limits.kv_cache_tokens),
            "enable_prefix_caching": "False",
        }
        yield self._gauge("vllm:cache_config_info", "Shape of the KV cache.", 1, **config)
        yield self._counter("vllm:prompt_tokens", "Prompt tokens computed.", self._prompt_tokens)
        yield self._counter("vllm:generation_tokens", "Tokens generated.", self._generation_tokens)
        yield self._counter("vllm:num_preemptions", "Requests that had to give their memory back.", load.preemptions)
        yield self._counter("vllm:prefix_cache_queries", "Tokens looked for in the prefix cache: there is none.", 0)
        yield self._counter("vllm:prefix_cache_hits", "Tokens found there.", 0)
        finished = CounterMetricFamily(
            "vllm:request_success", "Requests by how they ended.", labels=[*self._labels, "finished_reason"]
        )
        for reason, count in self._finished.items():
            finished.add_metric([*self._labels.values(), reason], count)
        yield finished
        for name, documentation, histogram in (
            ("vllm:time_to_first_token_seconds", "From receipt to the first token.", self._first_token_s),
            ("vllm:inter_token_latency_seconds", "Between successive tokens of a request.", self._inter_token_s),
            ("vllm:e2e_request_latency_seconds", "From receipt to the last token.", self._e2e_s),
            (
                "vllm:request_queue_time_seconds",
                "From joining the queue to the first step that serves it.",
                self._queue_s,
            ),
            ("vllm:iteration_tokens_total", "Tokens of a step, prompts and output.", self._step_tokens),
            (
                "planner_emulator_lateness_seconds",
                "How long after their planned time the tokens of a step were written.",
                self._lateness_s,
            ),
        ):
            yield histogram.family(name, documentation, self._labels)

    def _gauge(self, name: str, documentation: str, value: float, **labels: str) -> GaugeMetricFamily:
        every = {**self._labels, **labels}
        family = GaugeMetricFamily(name, documentation, labels=list(every))
        family.add_metric(list(every.values()), value)
        return family

    def _counter(self, name: str, documentation: str, value: float) -> CounterMetricFamily:
        family = CounterMetricFamily(name, documentation, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), value)
        return family
