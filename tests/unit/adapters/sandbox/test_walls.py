"""The walls around a function's process, tried by code that has got past every guard in Python.

`unguarded` runs the real worker program with all builtins and modules handed to the function, so what stops
these functions is the kernel: namespaces, the system-call filter and the limits.
"""

import errno
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.adapters.sandbox.bubblewrap import BubblewrapSandbox
from assay.adapters.sandbox.layout import PROGRAM, find_bwrap, find_layout
from assay.adapters.sandbox.seccomp import Filters, filters
from assay.adapters.sandbox.worker import Launch
from assay.core.results import ErrorType
from assay.ports.sandbox import FunctionReturn

GUARD = "names.update(__import__=import_, print=print_)"


def open_program(folder: Path) -> Path:
    """The worker program without its guards."""
    text = PROGRAM.read_text()
    assert text.count(GUARD) == 1
    program = folder / "unguarded.py"
    program.write_text(text.replace(GUARD, "names.update(vars(builtins))").replace("    forget_modules()\n", ""))
    return program


@pytest.fixture(scope="module")
def launch() -> Launch:
    bwrap, walls = find_bwrap(), filters()
    assert bwrap is not None
    assert walls is not None
    return Launch(find_layout(bwrap), walls)


@pytest.fixture
async def guarded(launch: Launch) -> AsyncIterator[BubblewrapSandbox]:
    sandbox = BubblewrapSandbox(launch)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def unguarded(launch: Launch, tmp_path: Path) -> AsyncIterator[BubblewrapSandbox]:
    sandbox = BubblewrapSandbox(Launch(launch.layout, launch.filters, program=open_program(tmp_path)))
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def unfiltered(launch: Launch, tmp_path: Path) -> AsyncIterator[BubblewrapSandbox]:
    """Past the guards and without the system-call filters: the namespaces and mounts have to hold alone."""
    allow_all = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    sandbox = BubblewrapSandbox(Launch(launch.layout, Filters(allow_all, allow_all), program=open_program(tmp_path)))
    yield sandbox
    await sandbox.close()


async def run(sandbox: BubblewrapSandbox, body: str, *, timeout: float = 3.0) -> FunctionReturn:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return await sandbox.call(f"def f():\n{lines}", {}, timeout=timeout)


PREAMBLE = """\
__import__('sys').modules.pop('x', None)
os, sys = __import__('os'), __import__('sys')
ctypes = __import__('ctypes')
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def syscall(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""

REPORT = """\
except BaseException as error:
    family = [base.__name__ for base in type(error).__mro__]
    for name in ('ImportError', 'OSError', 'RuntimeError', 'ValueError'):
        if name in family:
            return [name, getattr(error, 'errno', None)]
    return [str(family), None]
return ['done', None]"""

REFUSED_BY_THE_KERNEL = {
    "reading the account file": "open('/etc/passwd')",
    "reading the host's name file": "open('/etc/hostname')",
    "listing homes": "os.listdir('/home')",
    "the process table": "os.listdir('/proc')",
    "its own environment in the process table": "open('/proc/self/environ')",
    "devices": "os.listdir('/dev')",
    "kernel settings": "os.listdir('/sys')",
    "temporary files": "open('/tmp/x', 'w')",
    "a file in the root": "open('/x', 'w')",
    "a file in the standard library": "open(os.__file__, 'a')",
    "a file over the program": "open('/sandbox/worker_program.py', 'w')",
    "a directory": "os.mkdir('/x')",
    "a link": "os.symlink('/', '/x')",
    "removing a file": "os.unlink('/sandbox/worker_program.py')",
    "renaming": "os.rename('/sandbox', '/y')",
    "changing modes": "os.chmod('/sandbox', 0o777)",
    "installed packages": "open(os.path.dirname(os.__file__) + '/site-packages/orjson/__init__.py')",
    "a pipe with a name": "os.mkfifo('/x')",
    "an internet socket": "syscall(41, 2, 1, 0)",
    "an internet datagram socket": "syscall(41, 2, 2, 0)",
    "a version 6 socket": "syscall(41, 10, 1, 0)",
    "a local socket": "syscall(41, 1, 1, 0)",
    "a netlink socket": "syscall(41, 16, 3, 0)",
    "a packet socket": "syscall(41, 17, 3, 0)",
    "a pair of sockets": "syscall(53, 1, 1, 0, (ctypes.c_int * 2)())",
    "a fork": "os.fork()",
    "a thread": "__import__('_thread').start_new_thread(len, ('',))",
    "another program": "os.execv(sys.executable, ['python', '-c', '1'])",
    "a subprocess": "__import__('subprocess').run([sys.executable, '-c', '1'])",
    "a spawned process": "os.posix_spawn(sys.executable, ['python'], {})",
    "a killed parent": "os.kill(os.getppid(), 9)",
    "a killed first process": "os.kill(1, 9)",
    "killing everybody": "os.kill(-1, 9)",
    "killing its own group": "os.killpg(0, 9)",
    "tracing": "syscall(101, 16, 1, 0, 0)",
    "reading another process": "syscall(310, 1, 0, 0, 0, 0, 0)",
    "writing another process": "syscall(311, 1, 0, 0, 0, 0, 0)",
    "another process's descriptors": "syscall(438, 1, 0, 0)",
    "a mount": "call('mount', b'none', b'/sandbox', b'tmpfs', 0, None)",
    "an unmount": "call('umount2', b'/sandbox', 2)",
    "a new root": "os.chroot('/sandbox')",
    "new namespaces": "call('unshare', 0x10000000)",
    "joining a namespace": "call('setns', 0, 0)",
    "an io_uring": "syscall(425, 1, None)",
    "a kernel program": "syscall(321, 0, None, 0)",
    "user faults": "syscall(323, 0)",
    "performance counters": "syscall(298, None, 0, -1, -1, 0)",
    "the kernel's keys": "syscall(250, 0, -3, 1)",
    "a kernel module": "syscall(175, None, 0, None)",
    "a reboot": "syscall(169, 0, 0, 0, 0)",
    "the clock": "__import__('time').clock_settime(0, 0)",
    "the host's name": "call('sethostname', b'x', 1)",
    "more privileges": "os.setuid(0)",
    "groups": "os.setgroups([0])",
    "an alarm": "syscall(37, 1)",
    "a library that was not there at the start": "__import__('_socket')",
    "a timer": "__import__('signal').setitimer(0, 1)",
    "higher limits": "__import__('resource').setrlimit(9, (-1, -1))",
    "a higher priority": "os.nice(-5)",
    "file leases": "syscall(319, b'x', 0)",
    "shared memory between processes": "syscall(29, 1, 4096, 0o1777)",
    "message queues": "syscall(240, b'/x', 0o102, 0o600, None)",
    "another system-call filter": "call('prctl', 22, 2, 0, 0, 0)",
    "being looked into": "call('prctl', 4, 1, 0, 0, 0)",
    "typing into a terminal": "call('ioctl', 0, 0x5412, b'x')",
    "watching files": "syscall(253)",
    "a file by its handle": "syscall(304, -100, None, 0)",
    "new executable memory": "__import__('mmap').mmap(-1, 4096, prot=7)",
    "memory made executable": "call('mprotect', id(0) // 4096 * 4096, 4096, 7)",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls here are those of x86-64")
@pytest.mark.parametrize("attempt", REFUSED_BY_THE_KERNEL.values(), ids=REFUSED_BY_THE_KERNEL.keys())
async def test_the_kernel_refuses(unguarded: BubblewrapSandbox, attempt: str) -> None:
    body = f"{PREAMBLE}try:\n    {attempt}\n{REPORT}"
    answer = await run(unguarded, body)
    assert answer.error is None, answer.error
    family, number = answer.value
    assert family in {"OSError", "ImportError", "RuntimeError", "ValueError"}
    if attempt.startswith(("syscall(", "call(")):
        assert number == errno.EPERM


REFUSED_BY_THE_MOUNTS = [
    name for name in REFUSED_BY_THE_KERNEL if REFUSED_BY_THE_KERNEL[name].startswith(("open(", "os.l"))
]
REFUSED_BY_THE_NAMESPACES = [
    "a directory", "a link", "removing a file", "renaming", "changing modes", "a pipe with a name", "a mount",
    "an unmount", "a new root", "new namespaces", "a kernel module", "a reboot", "the clock", "the host's name",
    "more privileges", "groups", "higher limits", "a higher priority",
]  # fmt: skip


@pytest.mark.parametrize("name", [*REFUSED_BY_THE_MOUNTS, *REFUSED_BY_THE_NAMESPACES])
async def test_it_is_refused_without_the_filters_as_well(unfiltered: BubblewrapSandbox, name: str) -> None:
    answer = await run(unfiltered, f"{PREAMBLE}try:\n    {REFUSED_BY_THE_KERNEL[name]}\n{REPORT}")
    assert answer.error is None, answer.error
    assert answer.value[0] in {"OSError", "ValueError"}


async def test_there_is_no_network_behind_the_filters_either(unfiltered: BubblewrapSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        body = f"{PREAMBLE}try:\n    __import__('socket').create_connection(('127.0.0.1', {port}), 1)\n{REPORT}"
        assert (await run(unfiltered, body)).value[0] == "OSError"


async def test_the_server_cannot_be_killed_without_the_filters_either(unfiltered: BubblewrapSandbox) -> None:
    body = f"os = __import__('os')\nos.kill({os.getpid()}, 0)"
    answer = await run(unfiltered, body)
    assert answer.error is not None
    assert "ProcessLookupError" in answer.error.message


async def test_an_endless_function_that_shuts_its_ears_is_ended_without_the_filters(
    unfiltered: BubblewrapSandbox,
) -> None:
    body = """\
os, signal = __import__('os'), __import__('signal')
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
os.close(0)
os.close(1)
while True:
    pass"""
    answer = await run(unfiltered, body, timeout=0.5)
    assert answer.error is not None
    assert answer.error.type is ErrorType.TIMEOUT


async def test_the_attempts_above_fail_for_the_walls_and_not_for_want_of_means(unguarded: BubblewrapSandbox) -> None:
    """The means themselves (ctypes, os, the names used) work in there, so a refusal is the kernel's."""
    lines = (
        "call('getpid')\nsyscall(39)\nreturn [os.getpid() > 1, sys.executable != '', open(os.__file__).read(5) != '']"
    )
    body = PREAMBLE + lines
    assert (await run(unguarded, body)).value == [True, True, True]


async def test_only_the_interpreter_can_be_seen(unguarded: BubblewrapSandbox) -> None:
    body = """\
os = __import__('os')
seen = []
for folder, folders, files in os.walk('/'):
    seen.extend(os.path.join(folder, file) for file in files)
return [file for file in seen if '/lib/python3' not in file]"""
    seen = (await run(unguarded, body)).value
    assert seen
    allowed = ("/bin/python3", "/sandbox/worker_program.py", ".so")
    assert [file for file in seen if not any(part in file for part in allowed)] == []


async def test_its_environment_and_user_say_nothing(
    unguarded: BubblewrapSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    body = "os = __import__('os')\nreturn [sorted(os.environ), os.getuid(), os.getgid(), os.uname().nodename]"
    names, user, group, host = (await run(unguarded, body)).value
    assert set(names) <= {"PYTHONHASHSEED", "LD_LIBRARY_PATH", "PWD", "LC_CTYPE"}
    assert (user, group, host) == (65534, 65534, "sandbox")
    assert socket.gethostname() != host


async def test_no_descriptor_of_the_server_is_inherited(unguarded: BubblewrapSandbox, tmp_path: Path) -> None:
    secret = os.open(tmp_path / "secret", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(secret, True)
    try:
        body = """\
os = __import__('os')
found = []
for number in range(200):
    try:
        os.fstat(number)
    except OSError:
        continue
    found.append(number)
return found"""
        assert (await run(unguarded, body)).value in ([0, 1, 2], [0, 1, 2, 3])
    finally:
        os.close(secret)


async def test_descriptors_run_out_soon(unguarded: BubblewrapSandbox) -> None:
    body = """\
os = __import__('os')
count = 0
try:
    while True:
        os.dup(0)
        count += 1
except OSError:
    return count"""
    assert (await run(unguarded, body)).value < 20


async def test_a_crash_of_the_interpreter_is_an_error_of_that_call(unguarded: BubblewrapSandbox) -> None:
    source = "def f(a):\n    if a == 2:\n        __import__('ctypes').string_at(0)\n    return a\n"
    answers = await unguarded.call_many(source, [{"a": a} for a in range(5)])
    assert [answer.value for answer in answers] == [0, 1, None, 3, 4]
    assert answers[2].error is not None
    assert answers[2].error.type is ErrorType.FUNCTION_ERROR


async def test_ending_the_process_is_an_error_of_that_call(unguarded: BubblewrapSandbox) -> None:
    source = "def f(a):\n    if a == 2:\n        __import__('os')._exit(0)\n    return a\n"
    answers = await unguarded.call_many(source, [{"a": a} for a in range(5)])
    assert [answer.value for answer in answers] == [0, 1, None, 3, 4]


async def test_a_process_that_always_dies_is_given_up(unguarded: BubblewrapSandbox) -> None:
    source = "def f(a):\n    __import__('os')._exit(0)\n"
    answers = await unguarded.call_many(source, [{"a": a} for a in range(6)])
    assert {answer.error.type for answer in answers if answer.error} == {ErrorType.FUNCTION_ERROR}
    assert all(answer.error for answer in answers)


FORGERIES = {
    "a frame that is no JSON": "b'\\0\\0\\0\\x05hello'",
    "a frame without an end": "b'\\xff\\xff\\xff\\xff' + b'x' * 100",
    "more answers than calls": "b'\\0\\0\\x09\\x61' + b'[' + b','.join([b'[0,1,0.0]'] * 240) + b']'",
    "an answer of a wrong shape": "b'\\0\\0\\0\\x07[[0,1]]'",
    "an answer of an unknown kind": "b'\\0\\0\\0\\x0b[[9,1,0.0]]'",
    "a message that is no text": "b'\\0\\0\\0\\x0b[[1,1,0.0]]'",
    "a time that is none": "b'\\0\\0\\0\\x0c[[0,1,-1.0]]'",
    "a number over all bounds": "b'\\0\\0\\0\\x0f[[0,1e999,0.0]]'",
    "an answer that is deeply nested": "b'\\0\\0\\x07\\xda' + b'[[0,' + b'[' * 1000 + b']' * 1000 + b',0.0]]' + b' '",
    "an endless stream": "b'\\0\\0\\0\\x02[]' * 100000",
}


@pytest.mark.parametrize("frame", FORGERIES.values(), ids=FORGERIES.keys())
async def test_forged_answers_hurt_nobody_else(unguarded: BubblewrapSandbox, frame: str) -> None:
    forger = f"def f():\n    __import__('os').write(1, {frame})\n    while True:\n        pass\n"
    honest = "def f(a):\n    return a\n"
    forged, right = await unguarded.call(forger, {}, timeout=1), await unguarded.call(honest, {"a": 4})
    assert forged.value is None
    assert forged.error is not None
    assert right.value == 4


async def test_an_answer_forged_for_a_later_row_stays_inside_that_function(unguarded: BubblewrapSandbox) -> None:
    source = (
        "def f(a):\n    if a == 0:\n        __import__('os').write(1, b'\\0\\0\\0\\x0c[[0,99,0.0]]')\n    return a\n"
    )
    answers = await unguarded.call_many(source, [{"a": a} for a in range(3)], timeout=2)
    assert len(answers) == 3
    assert (await unguarded.call("def f(a):\n    return a\n", {"a": 1})).value == 1


async def test_a_forged_count_of_rows_does_not_keep_a_process_alive(unguarded: BubblewrapSandbox) -> None:
    body = """\
gc = __import__('gc')
counters = [thing for thing in gc.get_objects() if type(thing).__name__ == 'Channel']
memory = counters[0]._begun
while True:
    memory[:8] = b'\\xff' * 8"""
    answer = await run(unguarded, body, timeout=0.7)
    assert answer.error is not None
    assert answer.error.type is ErrorType.TIMEOUT


async def test_text_on_standard_error_goes_nowhere(
    unguarded: BubblewrapSandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (await run(unguarded, "__import__('os').write(2, b'x' * 100000)\nreturn 1")).value == 1
    assert capfd.readouterr() == ("", "")


async def test_a_sleeping_function_is_ended(unguarded: BubblewrapSandbox) -> None:
    answer = await run(unguarded, "__import__('time').sleep(60)", timeout=0.5)
    assert answer.error is not None
    assert answer.error.type is ErrorType.TIMEOUT


async def test_a_function_that_ignores_signals_is_ended(unguarded: BubblewrapSandbox) -> None:
    body = """\
signal = __import__('signal')
for number in range(1, 32):
    try:
        signal.signal(number, lambda *_: None)
    except (OSError, ValueError):
        pass
while True:
    pass"""
    answer = await run(unguarded, body, timeout=0.5)
    assert answer.error is not None
    assert answer.error.type is ErrorType.TIMEOUT


async def test_memory_taken_from_the_kernel_directly_is_bounded(unguarded: BubblewrapSandbox) -> None:
    body = """\
mmap, held = __import__('mmap'), []
try:
    while True:
        held.append(mmap.mmap(-1, 16 * 1024 * 1024))
except OSError:
    return len(held) * 16"""
    assert 100 < (await run(unguarded, body)).value < 320


async def test_another_function_runs_in_another_process_namespace(unguarded: BubblewrapSandbox) -> None:
    first = await unguarded.call("def f():\n    return __import__('os').getpid()\n", {})
    second = await unguarded.call("def f():\n    return  __import__('os').getpid()\n", {})
    assert first.value == second.value
    assert first.value < 10


INTROSPECTION = {
    "subclasses": "return [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close'][0]('x')",
    "the loader": (
        "found = [c for c in object.__subclasses__() if c.__name__ == 'BuiltinImporter']\n"
        "return found[0].load_module('posix').listdir('/etc')"
    ),
    "a function's globals": "import json\nreturn json.dumps.__globals__['__builtins__']['open']('/etc/passwd').read()",
    "a module of a module": (
        "import statistics\nreturn statistics.mean.__globals__['sys'].modules['os'].listdir('/etc')"
    ),
    "a traceback's frames": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    frame = error.__traceback__.tb_frame\n"
        "    while frame.f_back:\n        frame = frame.f_back\n"
        "    return frame.f_globals['__builtins__'].open('/etc/passwd').read()"
    ),
    "a generator's frame": (
        "def g():\n    yield frame.f_back\nframe = None\nmade = g()\nframe = made.gi_frame\n"
        "back = next(made)\nreturn back.f_globals['os'].listdir('/etc')"
    ),
    "a format string": "return '{0.__class__.__init__.__globals__[os]}'.format(ValueError())",
    "sys.modules": "import re\nreturn re.compile.__globals__['enum'].sys.modules['posix'].listdir('/etc')",
    "the builtins of a class": "return __build_class__.__self__.open('/etc/passwd').read()",
    "the order of resolution": (
        "return type.mro(int)[-1].__subclasses__()[-1].__init__.__globals__['os'].listdir('/etc')"
    ),
    "importlib": (
        "import collections\nreturn collections.namedtuple.__globals__['_sys'].modules['importlib']"
        ".import_module('posix').listdir('/etc')"
    ),
}


@pytest.mark.parametrize("body", INTROSPECTION.values(), ids=INTROSPECTION.keys())
async def test_looking_around_in_objects_leads_to_nothing(guarded: BubblewrapSandbox, body: str) -> None:
    answer = await run(guarded, body)
    assert answer.value is None
    assert answer.error is not None


BAD_BYTECODE = (
    "def inner():\n    return 1\n"
    "code = bytes([100, 200]) * 4 + bytes([83, 0])\n"
    "inner.__code__ = inner.__code__.replace(co_code=code, co_consts=(1,), co_stacksize=0)\n"
    "return inner()"
)


async def test_bad_bytecode_ends_at_most_its_own_process(guarded: BubblewrapSandbox) -> None:
    await run(guarded, BAD_BYTECODE)
    assert (await run(guarded, "return 1")).value == 1


HOSTILE_VALUES = {
    "a float's subclass": "class F(float):\n    pass\nreturn F(1)",
    "an int's subclass": "class I(int):\n    def __repr__(self):\n        return 'NaN'\nreturn I(1)",
    "a text's subclass": "class S(str):\n    pass\nreturn S('x')",
    "a dict's subclass": "class D(dict):\n    def items(self):\n        while True:\n            pass\nreturn D(a=1)",
    "a key's subclass": "class S(str):\n    pass\nreturn {S('x'): 1}",
    "a class that lies": "class L:\n    __class__ = float\n    def __float__(self):\n        return 1.0\nreturn L()",
    "a nameless class": (
        "class M(type):\n    @property\n    def __name__(cls):\n        raise SystemExit\n"
        "class L(metaclass=M):\n    pass\nreturn L()"
    ),
    "half a pair": "return '\\ud800'",
    "half a pair inside": "return {'a': ['\\udfff']}",
}


@pytest.mark.parametrize("body", HOSTILE_VALUES.values(), ids=HOSTILE_VALUES.keys())
async def test_hostile_values_are_refused(guarded: BubblewrapSandbox, body: str) -> None:
    answer = await run(guarded, body)
    assert answer.error is not None
    assert answer.error.type is ErrorType.INVALID_OUTPUT


HOSTILE_ERRORS = {
    "text": "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E",
    "endless text": "class E(Exception):\n    def __str__(self):\n        return 'x' * 10 ** 7\nraise E",
    "half a pair": "raise ValueError('\\ud800')",
    "a metaclass": "class M(type):\n    __name__ = 3\nclass E(Exception, metaclass=M):\n    pass\nraise E",
}


@pytest.mark.parametrize("body", HOSTILE_ERRORS.values(), ids=HOSTILE_ERRORS.keys())
async def test_hostile_errors_are_told_in_bounds(guarded: BubblewrapSandbox, body: str) -> None:
    answer = await run(guarded, body)
    assert answer.error is not None
    assert answer.error.type is ErrorType.FUNCTION_ERROR
    assert len(answer.error.message) < 2000
    answer.error.message.encode()


async def test_changed_builtins_are_put_back_before_the_next_row(guarded: BubblewrapSandbox) -> None:
    source = (
        "def f(a):\n    if a == 0:\n        __builtins__['len'] = lambda _: 99\n        __builtins__.pop('max')\n"
        "    return max(len('ab'), a)\n"
    )
    answers = await guarded.call_many(source, [{"a": a} for a in (1, 0, 1)])
    assert [answer.value for answer in answers] == [2, None, 2]


async def test_a_hostile_definition_is_stopped_too(guarded: BubblewrapSandbox) -> None:
    nested = "".join(" " * (level + 1) + "try: a\n" + " " * (level + 1) + "finally:\n" for level in range(19))
    answer = await guarded.call("def f():\n" + nested + " " * 20 + "b\n", {}, timeout=0.5)
    assert answer.error is not None
    endless = await guarded.call("def f(a=[x for x in iter(int, 1)]):\n    return 1\n", {}, timeout=0.5)
    assert endless.error is not None


async def test_threads_and_alarms_cannot_outlive_a_call(unguarded: BubblewrapSandbox) -> None:
    start = "__import__('threading').Thread(target=len, args=('',)).start()"
    source = f"def f(a):\n    if a == 0:\n        {start}\n    return a\n"
    answers = await unguarded.call_many(source, [{"a": a} for a in (1, 0, 2)])
    assert [answer.value for answer in answers] == [1, None, 2]
