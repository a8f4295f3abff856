"""Builds datasets and their items."""

from typing import Any

from assay.core.datasets import Dataset, DatasetItem, content_hash
from assay.core.identity import DEFAULT_ACCOUNT_ID
from tests.builders.identity import ALICE, NOW, new_id


def make_dataset(**changes: Any) -> Dataset:
    """A dataset of the default account at version 1."""
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "name": "capitals",
        "description": None,
        "tags": (),
        "current_version_num": 1,
        "created_at": NOW,
        "created_by": ALICE,
    }
    return Dataset(**{**defaults, **changes})


def make_dataset_item(dataset: Dataset, number: int = 0, **changes: Any) -> DatasetItem:
    """A row that is there from version 1 on."""
    data = changes.get("data", {"question": f"question {number}"})
    files = changes.get("files")
    defaults = {
        "id": new_id(),
        "seq": 0,
        "dataset_id": dataset.id,
        "data": data,
        "files": files,
        "content_hash": content_hash(data, files),
        "start_version": 1,
        "end_version": None,
        "created_at": NOW,
        "updated_at": NOW,
        "created_by": ALICE,
    }
    return DatasetItem(**{**defaults, **changes})
