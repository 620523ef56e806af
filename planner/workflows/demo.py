"""The whole chain on an emulated server: load test, fit, plan, report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planner.engines.emulator.process import emulating
from planner.errors import UsageError
from planner.loadtest.progress import progress_text
from planner.report.html import render_html
from planner.schema.plan import Plan
from planner.schema.profile import Profile
from planner.store.files import shown_path, write_text
from planner.store.plans import plan_json
from planner.store.profiles import profile_json, read_profile
from planner.workflows.bench.bench import BenchResult, bench
from planner.workflows.bench.options import BenchOptions
from planner.workflows.fit import FitOptions, fit_profile
from planner.workflows.plan import make_plan

_FILES = Path(__file__).parent / "demo_files"
_USERS, _RATES = "1,2,4,8,16", "5,10,20,30,40"
_POINT_S, _WARMUP_S = 2.0, 0.4
_INPUT, _OUTPUT = "lognormal:p50=350,p95=900", "lognormal:p50=50,p95=120"


@dataclass(frozen=True)
class Demonstration:
    """What the demo made.

    Attributes:
        folder: with all its files.
        profile: fitted to the load test.
        plan: by that profile.
        doubts: about loads of the test in which this machine was too busy to measure; the fit left them out.
    """

    folder: Path
    profile: Profile
    plan: Plan
    doubts: tuple[str, ...]

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / "report.html"


def demonstrate(folder: Path, seed: int = 0, show: Callable[[str], None] = lambda _: None) -> Demonstration:
    """Runs the chain, and writes every file that it has on its way.

    Args:
        folder: new or empty.
        seed: of arrivals and lengths.
        show: told what is being done.

    Raises:
        UsageError: something is in the folder; or this machine was too busy for a load test.
        EnvironmentLackingError: the emulated server does not start, or files cannot be written.
        KeyboardInterrupt: the load test was interrupted.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out {shown_path(folder)}: is there already; name a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    server = folder / "server.json"
    for name in ("server.json", "scenario.yaml"):
        write_text(folder / name, (_FILES / name).read_text(encoding="utf-8"))
    show("starting an emulated server: no model, no GPU, only their timing")
    with emulating(server) as url:
        measured = _load_test(url, folder / "run", read_profile(server), seed, show)
    if measured.is_interrupted:
        raise KeyboardInterrupt
    show("fitting a profile to the load test")
    fitted = fit_profile([folder / "run"], FitOptions())
    write_text(folder / "profile.json", profile_json(fitted.profile))
    plan = make_plan(folder / "scenario.yaml", lambda fraction: show(f"planning {fraction:.0%}"))
    write_text(folder / "plan.json", plan_json(plan))
    show("writing the report")
    write_text(folder / "report.html", render_html(plan))
    return Demonstration(folder, fitted.profile, plan, measured.doubts)


def _load_test(url: str, run: Path, server: Profile, seed: int, show: Callable[[str], None]) -> BenchResult:
    limits = server.limits
    options = BenchOptions(
        url=url,
        sweep=True,
        concurrency=_USERS,
        rate=_RATES,
        duration_s=_POINT_S,
        warmup_s=_WARMUP_S,
        input_tokens=_INPUT,
        output_tokens=_OUTPUT,
        limits=f"max_num_seqs={limits.max_num_seqs},max_num_batched_tokens={limits.max_num_batched_tokens}",
        accelerator=server.accelerator.name if server.accelerator else None,
        out=run,
        seed=seed,
    )
    return bench(options, {}, lambda label, now: show(f"load test, emulated: {progress_text(label, now)}"))
