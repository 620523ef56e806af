"""How fast, true, small and light the load generator is, against its limits and its peers.

    python benchmarks/self/loadgen.py                       # speed, full, truth, tiny, memory: two minutes
    python benchmarks/self/loadgen.py --only speed --peers --servebench VENV --vllm VENV --model DIR
    python benchmarks/self/loadgen.py --only real --vllm VENV --model DIR

Clients are measured in turn, each against a server of its own (truth_server.c), which has one core, of real-time
priority where that is permitted; the clients share another. questions.py defines the figures. Needs Linux and a C
compiler.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from clients import BARE, PLANNER, Client, bare, ours, servebench, vllm
from questions import CPU, MOST_OF_BARE, OURS_ONLY, QUESTIONS, Bench, ClientFailedError, Question
from real import real
from tables import Figures, median, missed, table
from truth import build

BY_DEFAULT = ("speed", "full", "truth", "tiny", "memory")


def main() -> int:
    """Prints a table per question; 1 where a limit is missed, or a client failed."""
    options = _options()
    asked = [*(options.only or BY_DEFAULT), *(["million"] if options.million else [])]
    clients = [ours(), *_peers(options)]
    _say(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(build(Path(folder)), Path(folder) / "runs")
        bench.folder.mkdir()
        are_kept = True
        for name in asked:
            if name == "real":
                try:
                    for part in real(options.vllm, options.model, options.rounds, bench.folder):
                        _say(part)
                except ClientFailedError as error:
                    are_kept = False
                    _say(str(error))
                continue
            measured = clients[:1] if name in OURS_ONLY else clients
            told, is_kept = _answered(QUESTIONS[name], bench, measured, options.rounds)
            are_kept &= is_kept
            _say(told)
    if not all(bench.started):
        _say("The server had no real-time priority: others may have delayed it.")
    return 0 if are_kept else 1


def _answered(question: Question, bench: Bench, clients: list[Client], rounds: int) -> tuple[str, bool]:
    """The table of a question, and whether all went well."""
    figures: dict[str, list[Figures]] = {client.name: [] for client in clients}
    notes, failures = [], []
    for _ in range(rounds):
        for client in clients:
            try:
                figures[client.name].append(question.answer(bench, client))
            except ClientFailedError as error:
                failures.append(str(error))
    lacking = missed(question.rows, figures[PLANNER])
    if figures[PLANNER] and any(row.limit is not None for row in question.rows):
        notes.append(f"Limits missed: {', '.join(lacking)}." if lacking else "All limits are kept.")
    if (ratio := against_bare(figures)) is not None:
        kept = "" if ratio <= MOST_OF_BARE else " ✗"
        notes.append(f"CPU per chunk: {ratio:.2f}× the bare client's{kept}; limit {MOST_OF_BARE:.2f}×.")
    of = f"; medians of {rounds} rounds" if rounds > 1 else ""
    told = "\n\n".join([f"## {question.title}{of}", table(question.rows, figures, PLANNER), *notes, *failures])
    return told, not lacking and not failures


def against_bare(figures: dict[str, list[Figures]]) -> float | None:
    """Our CPU per chunk over the bare client's of the same rounds; None where it was not measured."""
    ours_s, bare_s = (median(CPU, figures.get(name, [])) for name in (PLANNER, BARE))
    return ours_s / bare_s if ours_s and bare_s else None


def _peers(options: argparse.Namespace) -> list[Client]:
    """The other clients that are there; a line for each that is not."""
    if not options.peers:
        return []
    peers = [bare()]
    if options.vllm and options.model:
        peers.append(vllm(options.vllm, options.model))
    else:
        _say("vllm bench serve is left out: --vllm names its environment, --model a folder with a tokenizer.")
    if options.servebench:
        peers.append(servebench(options.servebench))
    else:
        _say("servebench is left out: --servebench names its environment (pip install servebench==1.1.3).")
    return peers


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    choices = [*(name for name in QUESTIONS if name != "million"), "real"]
    parser.add_argument("--only", action="append", choices=choices, help="a question; may be given again")
    parser.add_argument("--peers", action="store_true", help="measure other clients in turn with ours")
    parser.add_argument("--million", action="store_true", help="also a million requests: a quarter of an hour or more")
    parser.add_argument("--rounds", type=int, default=1, help="medians over so many [default: 1; real: at least 3]")
    parser.add_argument("--vllm", type=_program("vllm"), metavar="PATH", help="environment or program")
    parser.add_argument("--servebench", type=_program("servebench"), metavar="PATH", help="environment or program")
    parser.add_argument(
        "--model", type=lambda text: Path(text).absolute(), metavar="DIR", help="a model on disk, for vllm"
    )
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("needs Linux: epoll, and one clock for C and Python")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if "real" in (options.only or ()) and not (options.vllm and options.model):
        parser.error("--only real: needs --vllm PATH and --model DIR")
    return options


def _program(name: str) -> Callable[[str], Path]:
    """What reads an option that names an environment or the program in it."""

    def found(text: str) -> Path:
        path = Path(text).absolute()
        path = path / "bin" / name if path.is_dir() else path
        if not os.access(path, os.X_OK):
            raise argparse.ArgumentTypeError(f"{path} is no program")
        return path

    return found


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
