"""Storage of what models were asked: answers that are kept, sums over calls, and evaluations' policies.

Conventions as in `ports.storage`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from assay.core.model_calls import CallPolicy, CallSums, KeptAnswer


class ModelCallRepository(Protocol):
    """Belongs to accounts: what one account was answered never answers another."""

    async def answers(self, account_id: str, keys: Sequence[str]) -> Mapping[str, KeptAnswer]:
        """The kept answers of the calls with these keys."""
        ...

    async def kept(self, account_id: str, keys: Sequence[str]) -> frozenset[str]:
        """Those of the keys whose answers are kept."""
        ...

    async def keep(self, answers: Mapping[tuple[str, str], KeptAnswer], at: datetime) -> None:
        """Keep answers by account and key; the first one of a call stays."""
        ...

    async def forget(self, account_id: str | None, *, before: datetime | None = None) -> int:
        """Forget the kept answers of an account, or of all, or those that are older; how many they were."""
        ...

    async def add_sums(self, sums: Mapping[tuple[str, str], CallSums]) -> None:
        """Add to the sums by account and model."""
        ...

    async def sums(self, account_id: str, models: Sequence[str]) -> Mapping[str, CallSums]:
        """The account's sums of the models that it has called."""
        ...

    async def set_policy(self, evaluation_seq: int, policy: CallPolicy) -> None:
        """Write how an evaluation may call models."""
        ...

    async def policy(self, evaluation_seq: int) -> CallPolicy:
        """How an evaluation may call models; the default one when nothing was said."""
        ...

    async def spent(self, evaluation_seq: int) -> float:
        """What the evaluation's stored results cost, in US dollars."""
        ...
