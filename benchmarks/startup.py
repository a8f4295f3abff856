"""How long `assay serve` takes to answer /healthz, and `assay --help` to print; and what an idle server weighs."""

import subprocess
import time
from pathlib import Path

from benchmarks.measuring import Line, arguments, at_most, median, show, workplace
from tests.fakes.server_process import ASSAY, ServerProcess, clean_environment


def serve(data_dir: Path) -> tuple[float, float]:
    """Seconds to /healthz, and megabytes a moment later."""
    server = ServerProcess(data_dir)
    try:
        seconds = server.start()
        time.sleep(0.5)
        return seconds, server.weigh().resident / 2**20
    finally:
        server.stop()


def help_text(home: Path) -> float:
    begun = time.perf_counter()
    subprocess.run([str(ASSAY), "--help"], check=True, stdout=subprocess.DEVNULL, env=clean_environment(home))
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    runs = 1 if options.quick else max(5, options.runs)
    with workplace() as place:
        help_text(place)
        new = [serve(place / f"data{number}") for number in range(runs)]
        again = [serve(place / "data0") for _ in range(runs)]
        helped = [help_text(place) for _ in range(runs)]
    lines = [
        at_most("serve to /healthz, a new data directory, s", median(seconds for seconds, _ in new), 2.5),
        at_most("serve to /healthz, an old one, s", median(seconds for seconds, _ in again), 2.5),
        at_most("assay --help, s", median(helped), 0.3),
        Line("memory when idle, MB", f"{median(memory for _, memory in again):.0f}", "<= 150"),
    ]
    show("Starting", lines)


if __name__ == "__main__":
    main()
