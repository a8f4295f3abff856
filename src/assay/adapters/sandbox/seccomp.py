"""System-call filters for the sandbox's process: what a plain computation in CPython needs, and nothing else.

Two allow-lists, as classic BPF: one for starting the interpreter, and a narrower one that the process puts
on itself before any user code (no execve, no new executable memory, no more filters or limits).
"""

import platform
import struct
from dataclasses import dataclass

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_BITS = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_REFUSE = 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000

_PROT_EXEC = 0x4
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
_HARMLESS_IOCTLS = (0x5401, 0x5450, 0x5451)  # TCGETS, FIONCLEX, FIOCLEX

# Ordered by how often they are made: the filter is walked from the top.
_RUNNING = """
    futex read write clock_gettime brk munmap mremap madvise close fstat newfstatat lseek pread64 readv
    writev statx stat lstat access faccessat faccessat2 readlink readlinkat getcwd getdents64 fcntl dup
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack sched_yield nanosleep clock_nanosleep clock_getres
    gettimeofday time times getrusage getpid gettid getuid geteuid getgid getegid getrandom poll ppoll
    set_robust_list set_tid_address rseq membarrier sched_getaffinity uname restart_syscall exit exit_group
"""
_STARTING = "execve arch_prctl prctl seccomp prlimit64 getrlimit setrlimit wait4"

_X86_64 = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20, "access": 21,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "execve": 59,
    "exit": 60, "wait4": 61, "uname": 63, "fcntl": 72, "getcwd": 79, "readlink": 89, "gettimeofday": 96,
    "getrlimit": 97, "getrusage": 98, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107,
    "getegid": 108, "sigaltstack": 131, "prctl": 157, "arch_prctl": 158, "setrlimit": 160, "gettid": 186,
    "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217, "set_tid_address": 218,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "ppoll": 271,
    "set_robust_list": 273, "prlimit64": 302, "seccomp": 317, "getrandom": 318, "membarrier": 324,
    "statx": 332, "rseq": 334, "faccessat2": 439,
}  # fmt: skip
_AARCH64 = {
    "getcwd": 17, "dup": 23, "fcntl": 25, "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57,
    "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67,
    "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94,
    "set_tid_address": 96, "futex": 98, "set_robust_list": 99, "nanosleep": 101, "clock_gettime": 113,
    "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
    "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "times": 153, "uname": 160, "getrlimit": 163, "setrlimit": 164, "getrusage": 165,
    "prctl": 167, "gettimeofday": 169, "getpid": 172, "getuid": 174, "geteuid": 175, "getgid": 176,
    "getegid": 177, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "execve": 221, "mmap": 222,
    "mprotect": 226, "madvise": 233, "wait4": 260, "prlimit64": 261, "seccomp": 277, "getrandom": 278,
    "membarrier": 283, "statx": 291, "rseq": 293, "faccessat2": 439,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filters:
    """The two programs, each an array of `struct sock_filter`."""

    starting: bytes
    running: bytes


def filters(machine: str | None = None) -> Filters | None:
    """The filters for this machine's processor; None where there are none (then bubblewrap is not offered)."""
    machine = machine or platform.machine()
    if machine in {"x86_64", "AMD64"}:
        return Filters(*(_program(0xC000003E, _X86_64, starting=flag) for flag in (True, False)))
    if machine in {"aarch64", "arm64"}:
        return Filters(*(_program(0xC00000B7, _AARCH64, starting=flag) for flag in (True, False)))
    return None


def _program(architecture: int, numbers: dict[str, int], *, starting: bool) -> bytes:
    """Refuses by EPERM; a call in another architecture's convention ends the process."""
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, _REFUSE),
    ]
    for name in (_RUNNING + _STARTING if starting else _RUNNING).split():
        if name in numbers:
            code += [_instruction(_JUMP_EQUAL, numbers[name], 0, 1), _instruction(_RETURN, _ALLOW)]
    for name in ("mmap", "mprotect"):
        if starting:
            code += [_instruction(_JUMP_EQUAL, numbers[name], 0, 1), _instruction(_RETURN, _ALLOW)]
        else:
            code += _unless_bits(numbers[name], 2, _PROT_EXEC)
    code += _unless_bits(numbers["openat"], 2, _WRITING)
    if "open" in numbers:
        code += _unless_bits(numbers["open"], 1, _WRITING)
    code += _only_values(numbers["ioctl"], 1, _HARMLESS_IOCTLS)
    code.append(_instruction(_RETURN, _REFUSE))
    return b"".join(code)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _argument(index: int) -> bytes:
    """Load the low half of an argument: flags and request numbers fit in it (both machines are little-endian)."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * index)


def _unless_bits(number: int, argument: int, bits: int) -> list[bytes]:
    return [
        _instruction(_JUMP_EQUAL, number, 0, 4),
        _argument(argument),
        _instruction(_JUMP_BITS, bits, 0, 1),
        _instruction(_RETURN, _REFUSE),
        _instruction(_RETURN, _ALLOW),
    ]


def _only_values(number: int, argument: int, values: tuple[int, ...]) -> list[bytes]:
    body = [_argument(argument)]
    for value in values:
        body += [_instruction(_JUMP_EQUAL, value, 0, 1), _instruction(_RETURN, _ALLOW)]
    body.append(_instruction(_RETURN, _REFUSE))
    return [_instruction(_JUMP_EQUAL, number, 0, len(body)), *body]
