"""How metrics and task types are found."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assay.registry import discovery
from assay.registry.discovery import load_metrics, load_task_types


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of two slow metrics; its modules are forgotten afterwards."""
    folder = tmp_path / "plugins_for_discovery"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name in ("zebra", "apple"):
        (folder / f"{name}.py").write_text(
            "import time\n"
            "made = []\n"
            "class Metric:\n"
            f"    name = '{name}'\n"
            "    def __init__(self):\n"
            "        made.append(self)\n"
            "        time.sleep(0.05)\n"
            "    def score(self, candidate, reference):\n"
            "        return 1.0\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("plugins_for_discovery")]:
        del sys.modules[name]


def found_in(package: str) -> discovery._MadeOnFirstUse:
    return discovery._MadeOnFirstUse(discovery._classes(package, "Metric"))


def test_a_metric_is_found_by_its_file_alone(plugins):
    (plugins / "mango.py").write_text("class Metric:\n    name = 'zzz'\n")
    assert list(found_in("plugins_for_discovery")) == ["apple", "zebra", "zzz"]


def test_knowing_the_names_makes_no_metric(plugins):
    metrics = found_in("plugins_for_discovery")
    assert "apple" in metrics
    assert "pear" not in metrics
    assert metrics.get("pear") is None
    assert len(metrics) == 2
    assert ", ".join(metrics) == "apple, zebra"
    assert sys.modules["plugins_for_discovery.apple"].made == []


def test_a_metric_is_made_once_whichever_threads_ask(plugins):
    metrics = found_in("plugins_for_discovery")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: metrics["apple"], range(16)))
    assert len(set(map(id, made))) == 1
    assert len(sys.modules["plugins_for_discovery.apple"].made) == 1
    assert sys.modules["plugins_for_discovery.zebra"].made == []


def test_an_unknown_metric_is_a_key_error(plugins):
    with pytest.raises(KeyError):
        found_in("plugins_for_discovery")["pear"]


def test_two_metrics_of_one_name_are_refused(plugins):
    (plugins / "other.py").write_text("class Metric:\n    name = 'apple'\n")
    with pytest.raises(TypeError, match="another Metric named 'apple'"):
        found_in("plugins_for_discovery")


def test_a_module_without_the_class_is_refused(plugins):
    (plugins / "empty.py").write_text("")
    with pytest.raises(TypeError, match=r"plugins_for_discovery\.empty defines no class Metric"):
        found_in("plugins_for_discovery")


def test_private_modules_and_folders_are_no_entries(plugins):
    (plugins / "_shared.py").write_text("")
    (plugins / "data").mkdir()
    (plugins / "data" / "__init__.py").write_text("")
    assert list(found_in("plugins_for_discovery")) == ["apple", "zebra"]


def test_every_module_of_the_metrics_package_is_a_metric():
    import assay.metrics

    files = [file for file in Path(assay.metrics.__file__).parent.glob("*.py") if not file.name.startswith("_")]
    assert len(load_metrics()) == len(files) >= 8


def test_task_types_are_keyed_by_their_wire_word():
    task_types = load_task_types()
    assert "metric" in task_types
    for name, task_type in task_types.items():
        assert task_type.name == name
