"""One transaction and the repositories that act in it."""

from assay.adapters.storage.accounts import SqlAccounts, SqlApiKeys
from assay.adapters.storage.dataset_items import SqlDatasetItems
from assay.adapters.storage.datasets import SqlDatasets
from assay.adapters.storage.evaluations import SqlEvaluations
from assay.adapters.storage.groups import SqlGroups
from assay.adapters.storage.items import SqlItems
from assay.adapters.storage.results import SqlResults
from assay.adapters.storage.session import Session
from assay.ports.storage import (
    AccountRepository,
    ApiKeyRepository,
    DatasetItemRepository,
    DatasetRepository,
    EvaluationRepository,
    GroupRepository,
    ItemRepository,
    ResultRepository,
)


class SqlUnitOfWork:
    """Implements `ports.storage.UnitOfWork`."""

    def __init__(self, session: Session) -> None:
        self.accounts: AccountRepository = SqlAccounts(session)
        self.api_keys: ApiKeyRepository = SqlApiKeys(session)
        self.datasets: DatasetRepository = SqlDatasets(session)
        self.dataset_items: DatasetItemRepository = SqlDatasetItems(session)
        self.evaluations: EvaluationRepository = SqlEvaluations(session)
        self.items: ItemRepository = SqlItems(session)
        self.results: ResultRepository = SqlResults(session)
        self.groups: GroupRepository = SqlGroups(session)
