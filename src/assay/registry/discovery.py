"""How metrics and task types are found: every module of their package is one, keyed by its wire word."""

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assay.registry.metrics import Metric
from assay.registry.task_types import TaskType


def load_metrics() -> Mapping[str, Metric]:
    """Every metric by name, in the order of the names. The names cost next to nothing; a metric is made when
    it is first looked up, because some load large libraries, and kept."""
    return _MadeOnFirstUse(_classes("assay.metrics", "Metric"))


def load_task_types() -> dict[str, TaskType]:
    """Every task type by name, in the order of the names."""
    return {name: make() for name, make in _classes("assay.task_types", "TaskType").items()}


class _MadeOnFirstUse(Mapping[str, Metric]):
    """Metrics by name, each made at its first look-up and once, whichever threads ask."""

    def __init__(self, makers: Mapping[str, Callable[[], Metric]]) -> None:
        self._makers = makers
        self._made: dict[str, Metric] = {}
        self._making = threading.Lock()

    def __getitem__(self, name: str) -> Metric:
        made = self._made.get(name)
        if made is not None:
            return made
        make = self._makers[name]
        with self._making:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        # The inherited one looks the metric up, and so would make it.
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _classes(package_name: str, class_name: str) -> dict[str, Callable[[], Any]]:
    """The class of that name in each module of the package, by its `name`; private modules are left out.

    Raises TypeError for a module without the class and for two classes with one name: both are mistakes of
    whoever wrote the module, found at start.
    """
    package = importlib.import_module(package_name)
    found: dict[str, Callable[[], Any]] = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.ispkg or module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package_name}.{module_info.name}")
        entry = getattr(module, class_name, None)
        if entry is None:
            raise TypeError(f"{module.__name__} defines no class {class_name}")
        if entry.name in found:
            raise TypeError(f"{module.__name__}: there is another {class_name} named {entry.name!r}")
        found[entry.name] = entry
    return dict(sorted(found.items()))
