"""What every sandbox does, whichever is in force."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import uvloop

from assay.adapters.sandbox import open_sandbox
from assay.core.results import ErrorType
from assay.ports.sandbox import FunctionReturn, Sandbox
from assay.settings import Settings

ADD = "def add(a, b=2):\n    return a + b\n"
LACKING = {"bubblewrap": set(), "monty": {"difflib", "fractions", "statistics", "textwrap"}}
MODULES = {
    "collections": "len(collections.Counter('aab'))",
    "copy": "len(copy.deepcopy([1, [2]]))",
    "datetime": "datetime.date(2020, 1, 2).year",
    "decimal": "int(decimal.Decimal('1.5') * 2)",
    "difflib": "difflib.SequenceMatcher(None, 'ab', 'ab').ratio()",
    "fractions": "float(fractions.Fraction(1, 2))",
    "functools": "functools.reduce(lambda a, b: a + b, [1, 2])",
    "itertools": "len(list(itertools.chain([1], [2])))",
    "json": "len(json.dumps({'a': 1}))",
    "math": "math.sqrt(4)",
    "re": "len(re.findall('a', 'aba'))",
    "statistics": "statistics.mean([1, 2, 3])",
    "textwrap": "len(textwrap.dedent(' a'))",
    "unicodedata": "len(unicodedata.normalize('NFD', 'é'))",
}


@pytest.fixture(params=["bubblewrap", "monty"])
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    opened = await open_sandbox(Settings(sandbox=request.param))
    yield opened
    await opened.close()
    assert not children()


def children() -> list[psutil.Process]:
    """Our own processes that are alive or unreaped, waiting a moment for those that end just now."""
    for _ in range(100):
        found = [child for child in psutil.Process().children(recursive=True) if runs_functions(child)]
        if not found:
            return []
        time.sleep(0.02)
    return found


def runs_functions(process: psutil.Process) -> bool:
    try:
        return any(word in process.name() for word in ("bwrap", "monty"))
    except psutil.NoSuchProcess:
        return False


async def run(sandbox: Sandbox, body: str, *, timeout: float = 5.0, **arguments: Any) -> FunctionReturn:
    names = ", ".join(arguments)
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return await sandbox.call(f"def f({names}):\n{lines}", arguments, timeout=timeout)


def kind(answer: FunctionReturn) -> ErrorType | None:
    return answer.error.type if answer.error is not None else None


async def test_a_function_is_called_with_its_arguments(sandbox: Sandbox) -> None:
    answer = await sandbox.call(ADD, {"a": 1, "b": 40})
    assert (answer.value, answer.error) == (41, None)
    assert 0 <= answer.seconds < 5


async def test_a_parameter_without_a_value_takes_its_default(sandbox: Sandbox) -> None:
    assert (await sandbox.call(ADD, {"a": 1})).value == 3


async def test_a_missing_argument_is_an_error_of_the_call(sandbox: Sandbox) -> None:
    assert kind(await sandbox.call(ADD, {})) is ErrorType.FUNCTION_ERROR


async def test_positional_only_and_keyword_only_parameters_get_their_values(sandbox: Sandbox) -> None:
    source = "def f(a, b=10, /, c=0, *, d):\n    return a * 1000 + b * 100 + c * 10 + d\n"
    assert (await sandbox.call(source, {"a": 1, "b": 2, "c": 3, "d": 4})).value == 1234
    assert (await sandbox.call(source, {"a": 1, "d": 4})).value == 2004


async def test_indented_source_runs(sandbox: Sandbox) -> None:
    assert (await sandbox.call("    def f(a):\n        return a\n", {"a": 5})).value == 5


VALUES: list[Any] = [0, -7, 1.5, 1e300, True, None, "é\n\U0001f600", [1, [2.5, None]], {"a": {"b": [False]}}, 2**63 - 1]


@pytest.mark.parametrize("value", VALUES)
async def test_json_values_go_in_and_come_back_with_their_types(sandbox: Sandbox, value: Any) -> None:
    answer = await run(sandbox, "return value", value=value)
    assert answer.error is None
    assert answer.value == value
    assert type(answer.value) is type(value)


async def test_a_whole_number_over_64_bits_goes_in(sandbox: Sandbox) -> None:
    assert (await run(sandbox, "return value % 1000", value=10**40 + 7)).value == 7


@pytest.mark.parametrize(
    "expression",
    [
        "float('nan')", "float('inf')", "-float('inf')", "[float('nan')]", "10 ** 40", "-(2 ** 63) - 1", "{1, 2}",
        "b'x'", "len", "lambda: 1", "{1: 2}", "{'a': range(3)}", "range(3)", "1j", "'x' * 2_000_000", "...",
        "[[1] * 1000] * 2000",
    ],
)  # fmt: skip
async def test_what_is_no_json_value_is_refused(sandbox: Sandbox, expression: str) -> None:
    answer = await run(sandbox, f"return {expression}")
    assert kind(answer) in {ErrorType.INVALID_OUTPUT, ErrorType.FUNCTION_ERROR}
    assert answer.value is None
    if expression != "1j":  # Monty has no complex numbers
        assert kind(answer) is ErrorType.INVALID_OUTPUT


async def test_the_type_that_was_returned_is_named(sandbox: Sandbox) -> None:
    answer = await run(sandbox, "return {1, 2}")
    assert answer.error is not None
    assert "set" in answer.error.message


async def test_a_value_that_contains_itself_is_refused(sandbox: Sandbox) -> None:
    assert kind(await run(sandbox, "a = []\na.append(a)\nreturn a")) is ErrorType.INVALID_OUTPUT


async def test_a_value_nested_too_deeply_is_refused(sandbox: Sandbox) -> None:
    body = "a = 1\nfor _ in range(5000):\n    a = [a]\nreturn a"
    assert kind(await run(sandbox, body)) is ErrorType.INVALID_OUTPUT


async def test_an_exception_is_an_error_that_names_it_and_its_line(sandbox: Sandbox) -> None:
    answer = await run(sandbox, "a = 1\nreturn a / 0")
    assert kind(answer) is ErrorType.FUNCTION_ERROR
    assert answer.error is not None
    assert "ZeroDivisionError" in answer.error.message
    assert "(line 3)" in answer.error.message


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyboardInterrupt()", "MemoryError()", "ValueError('x' * 10**6)"])
async def test_whatever_is_raised_is_an_error_of_that_call_alone(sandbox: Sandbox, raised: str) -> None:
    source = f"def f(a):\n    if a == 1:\n        raise {raised}\n    return a\n"
    answers = await asyncio.gather(*(sandbox.call(source, {"a": a}) for a in range(4)))
    assert [answer.value for answer in answers] == [0, None, 2, 3]
    assert answers[1].error is not None
    assert len(answers[1].error.message) <= 2000


async def test_a_default_that_cannot_be_computed_is_an_error_of_each_call(sandbox: Sandbox) -> None:
    source = "def f(a, b=missing):\n    return a\n"
    answers = await asyncio.gather(*(sandbox.call(source, {"a": a}) for a in range(3)))
    assert {kind(answer) for answer in answers} == {ErrorType.FUNCTION_ERROR}
    assert all(answer.error is not None and "missing" in answer.error.message for answer in answers)


async def test_calls_made_together_come_back_in_order(sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(sandbox.call(ADD, {"a": number}) for number in range(3000)))
    assert [answer.value for answer in answers] == [number + 2 for number in range(3000)]


async def test_an_endless_loop_is_stopped_at_its_time_and_its_neighbours_are_not_hurt(sandbox: Sandbox) -> None:
    source = "def f(a):\n    while a == 3:\n        pass\n    return a\n"
    started = time.monotonic()
    answers = await asyncio.gather(*(sandbox.call(source, {"a": a}, timeout=0.5) for a in range(8)))
    assert time.monotonic() - started < 5
    assert [answer.value for answer in answers] == [0, 1, 2, None, 4, 5, 6, 7]
    assert kind(answers[3]) is ErrorType.TIMEOUT
    assert 0.3 < answers[3].seconds < 2


async def test_a_loop_that_swallows_every_exception_is_stopped(sandbox: Sandbox) -> None:
    body = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    started = time.monotonic()
    assert kind(await run(sandbox, body, timeout=0.5)) is ErrorType.TIMEOUT
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "body", ["return (9 ** (9 ** 8)) % 7", "import re\nreturn 1 if re.match('(a|aa)+$', 'a' * 60 + 'b') else 0"]
)
async def test_long_work_without_a_single_python_step_is_bounded(sandbox: Sandbox, body: str) -> None:
    """Monty ends the first by killing its process, and its regular expressions do not blow up."""
    started = time.monotonic()
    answer = await run(sandbox, body, timeout=0.5)
    assert time.monotonic() - started < 4
    if sandbox.name == "bubblewrap":
        assert kind(answer) is ErrorType.TIMEOUT
    else:
        assert kind(answer) in {ErrorType.FUNCTION_ERROR, ErrorType.TIMEOUT} or answer.seconds < 0.5


MEMORY_BOMBS = [
    "return len('x' * 10 ** 10)",
    "a = [0] * 1000\nwhile True:\n    a = a + a",
    "a = []\nwhile True:\n    a.append('x' * 1000000)",
    "return 1 << (1 << 40)",
]


@pytest.mark.parametrize("body", MEMORY_BOMBS)
async def test_memory_is_bounded_and_the_next_call_works(sandbox: Sandbox, body: str) -> None:
    source = "def f(a):\n    if not a:\n        return 1\n" + "".join(f"    {line}\n" for line in body.splitlines())
    answers = await asyncio.gather(*(sandbox.call(source, {"a": a}, timeout=5) for a in (0, 1, 0)))
    assert kind(answers[1]) is ErrorType.FUNCTION_ERROR
    assert [answer.value for answer in answers] == [1, None, 1]


async def test_deep_recursion_is_an_error(sandbox: Sandbox) -> None:
    assert kind(await run(sandbox, "def g(n):\n    return g(n + 1)\nreturn g(0)")) is ErrorType.FUNCTION_ERROR


@pytest.mark.parametrize("module", sorted(MODULES))
async def test_the_allowed_modules_work_where_the_sandbox_has_them(sandbox: Sandbox, module: str) -> None:
    answer = await run(sandbox, f"import {module}\nreturn {MODULES[module]}")
    if module in LACKING[sandbox.name]:
        assert kind(answer) is ErrorType.FUNCTION_ERROR
        assert answer.error is not None
        assert "monty" in answer.error.message
    else:
        assert answer.error is None
        assert answer.value


FORBIDDEN = [
    "return open('/etc/passwd').read()",
    "return open('/tmp/left-behind', 'w').write('x')",
    "return __import__('os').listdir('/')",
    "return __import__('os').environ['HOME']",
    "return __import__('socket').socket()",
    "return __import__('subprocess').run(['id'])",
    "return __import__('ctypes').CDLL(None)",
    "return __import__('signal').alarm(1)",
    "return __import__('threading').Thread(target=print).start()",
    "return input()",
    "return breakpoint()",
]


@pytest.mark.parametrize("body", FORBIDDEN)
async def test_the_outside_is_out_of_reach(sandbox: Sandbox, body: str) -> None:
    assert kind(await run(sandbox, body)) is ErrorType.FUNCTION_ERROR


async def test_printed_text_goes_nowhere(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    assert (await run(sandbox, "for _ in range(1000):\n    print('x' * 1000)\nreturn 1")).value == 1
    assert capfd.readouterr() == ("", "")


async def test_functions_do_not_see_each_other(sandbox: Sandbox) -> None:
    await sandbox.call("def f(a):\n    global left\n    left = a\n    return a\n", {"a": 1})
    assert kind(await sandbox.call("def f(a):\n    return left\n", {"a": 1})) is ErrorType.FUNCTION_ERROR


async def test_the_same_text_hashes_the_same_in_every_process(sandbox: Sandbox) -> None:
    first = await sandbox.call("def f():\n    return str({'a', 'b', 'c', 'd'})\n", {})
    second = await sandbox.call("def f():\n    return  str({'a', 'b', 'c', 'd'})\n", {})
    assert first.value == second.value


async def test_many_calls_return_in_order_with_errors_in_their_place(sandbox: Sandbox) -> None:
    answers = await sandbox.call_many("def f(a):\n    return 6 / a\n", [{"a": a} for a in (1, 0, 2)])
    assert [answer.value for answer in answers] == [6.0, None, 3.0]
    assert kind(answers[1]) is ErrorType.FUNCTION_ERROR
    assert await sandbox.call_many(ADD, []) == []


async def test_many_calls_end_at_their_total_time(sandbox: Sandbox) -> None:
    source = "def f(a):\n    while a:\n        pass\n    return a\n"
    started = time.monotonic()
    answers = await sandbox.call_many(source, [{"a": a} for a in (0, 1, 1, 1, 1, 0)], timeout=0.6, total_timeout=1.5)
    assert time.monotonic() - started < 2.5
    assert answers[0].value == 0
    assert {kind(answer) for answer in answers[1:5]} == {ErrorType.TIMEOUT}


async def test_a_cancelled_call_does_not_hold_up_the_next(sandbox: Sandbox) -> None:
    source = "def f(a):\n    while a:\n        pass\n    return a\n"
    endless = asyncio.ensure_future(sandbox.call(source, {"a": 1}, timeout=2))
    await asyncio.sleep(0.3)
    endless.cancel()
    started = time.monotonic()
    assert (await sandbox.call(source, {"a": 0}, timeout=2)).value == 0
    assert time.monotonic() - started < 4


async def test_arguments_that_are_no_json_are_an_error(sandbox: Sandbox) -> None:
    answer = await sandbox.call(ADD, {"a": object()})
    assert kind(answer) is ErrorType.INVALID_INPUT


async def test_more_functions_than_processes_all_get_their_turn(sandbox: Sandbox) -> None:
    sources = [f"def f(a):\n    return a + {number}\n" for number in range(30)]
    answers = await asyncio.gather(*(sandbox.call(source, {"a": 1}) for source in sources for _ in range(3)))
    assert [answer.value for answer in answers] == [number + 1 for number in range(30) for _ in range(3)]


async def test_endless_functions_do_not_keep_others_from_running(sandbox: Sandbox) -> None:
    endless = [
        asyncio.ensure_future(sandbox.call(f"def f():\n    while {number + 1}:\n        pass\n", {}, timeout=1))
        for number in range(20)
    ]
    assert (await sandbox.call(ADD, {"a": 1})).value == 3
    assert {kind(answer) for answer in await asyncio.gather(*endless)} == {ErrorType.TIMEOUT}


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_it_serves_the_loop_of_another_thread_as_well(sandbox: Sandbox, new_loop: Any) -> None:
    assert (await sandbox.call(ADD, {"a": 1})).value == 3
    values: list[Any] = []

    async def elsewhere() -> None:
        answers = await asyncio.gather(*(sandbox.call(ADD, {"a": a}) for a in range(100)))
        values.extend(answer.value for answer in answers)

    def run_there() -> None:
        loop = new_loop()
        loop.run_until_complete(elsewhere())
        loop.close()

    thread = threading.Thread(target=run_there)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert values == [a + 2 for a in range(100)]
    assert (await sandbox.call(ADD, {"a": 2})).value == 4


async def test_after_it_is_closed_calls_are_errors_and_no_process_is_left(sandbox: Sandbox) -> None:
    endless = asyncio.ensure_future(sandbox.call("def f():\n    while True:\n        pass\n", {}, timeout=5))
    await asyncio.sleep(0.3)
    await sandbox.close()
    await sandbox.close()
    assert (await endless).error is not None
    assert kind(await sandbox.call(ADD, {"a": 1})) is ErrorType.INTERNAL_ERROR
    assert not children()
