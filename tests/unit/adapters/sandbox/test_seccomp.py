"""The system-call filters, read by a small interpreter of classic BPF."""

import struct

import pytest

from assay.adapters.sandbox.seccomp import filters

ALLOW, REFUSE, KILL = "allow", "refuse", "kill"
VERDICTS = {0x7FFF0000: ALLOW, 0x00050001: REFUSE, 0x80000000: KILL}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def decide(program: bytes, number: int, *arguments: int, architecture: int) -> str:
    values = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, architecture, 0, *values)
    position = accumulator = 0
    while True:
        code, if_true, if_false, operand = struct.unpack_from("=HBBI", program, position * 8)
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, operand)[0]
        elif code == 0x06:
            return VERDICTS[operand]
        else:
            taken = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: accumulator & operand != 0}
            position += if_true if taken[code] else if_false


CASES = [
    # call, arguments, number on x86-64, on aarch64, while starting, while running
    ("read", (), 0, 63, ALLOW, ALLOW),
    ("exit_group", (), 231, 94, ALLOW, ALLOW),
    ("socket", (), 41, 198, REFUSE, REFUSE),
    ("clone", (), 56, 220, REFUSE, REFUSE),
    ("clone3", (), 435, 435, REFUSE, REFUSE),
    ("kill", (), 62, 129, REFUSE, REFUSE),
    ("ptrace", (), 101, 117, REFUSE, REFUSE),
    ("mount", (), 165, 40, REFUSE, REFUSE),
    ("io_uring_setup", (), 425, 425, REFUSE, REFUSE),
    ("execveat", (), 322, 281, REFUSE, REFUSE),
    ("execve", (), 59, 221, ALLOW, REFUSE),
    ("prctl", (), 157, 167, ALLOW, REFUSE),
    ("prlimit64", (), 302, 261, ALLOW, REFUSE),
    ("mmap of data", (0, 4096, 3), 9, 222, ALLOW, ALLOW),
    ("mmap of code", (0, 4096, 5), 9, 222, ALLOW, REFUSE),
    ("mprotect to code", (0, 4096, 4), 10, 226, ALLOW, REFUSE),
    ("openat to read", (0, 0, 0o2000000), 257, 56, ALLOW, ALLOW),
    ("openat to write", (0, 0, 1), 257, 56, REFUSE, REFUSE),
    ("openat to make", (0, 0, 0o100), 257, 56, REFUSE, REFUSE),
    ("ioctl of a terminal's settings", (0, 0x5401), 16, 29, ALLOW, ALLOW),
    ("ioctl of a terminal's input", (0, 0x5412), 16, 29, REFUSE, REFUSE),
]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("arguments", "x86", "arm", "starting", "running"), [case[1:] for case in CASES])
def test_a_call_is_allowed_or_refused(machine, arguments, x86, arm, starting, running):
    made = filters(machine)
    number, architecture = (x86 if machine == "x86_64" else arm), ARCHITECTURES[machine]
    assert decide(made.starting, number, *arguments, architecture=architecture) == starting
    assert decide(made.running, number, *arguments, architecture=architecture) == running


def test_calls_by_another_architectures_convention_end_the_process():
    made = filters("x86_64")
    for program in (made.starting, made.running):
        assert decide(program, 11, architecture=0x40000003) == KILL
        assert decide(program, 0x40000000, architecture=ARCHITECTURES["x86_64"]) == REFUSE
        assert decide(program, 0x40000000 + 59, architecture=ARCHITECTURES["x86_64"]) == REFUSE


def test_an_unknown_processor_has_no_filter():
    assert filters("riscv64") is None
