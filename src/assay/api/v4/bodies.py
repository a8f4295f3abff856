"""Version 4's request bodies: null stands for absent in a POST and clears in a PATCH; arrays come bare."""

from typing import Any, ClassVar, TypeVar

from fastapi import Request

from assay.api.shared.bodies import BodyModel, JsonArray, JsonBody, read_json_object, validate

New = TypeVar("New", bound=BodyModel)

MOST_ITEMS = 10_000
"""The most items that a batch may have."""


class PartialChanges(BodyModel):
    """The base of PATCH bodies of what cannot be restored. `changes()` are the fields that were sent.

    `clearable` names the fields that null clears; null for any other is as if it were absent.
    """

    clearable: ClassVar[frozenset[str]] = frozenset()

    def changes(self) -> dict[str, Any]:
        """The fields that were sent, by name, without `restore`."""
        return {name: getattr(self, name) for name in self.model_fields_set if name != "restore"}


class Changes(PartialChanges):
    """The base of PATCH bodies: changes, or `{"restore": true}`, beside which everything else is ignored."""

    restore: bool | None = None


Patch = TypeVar("Patch", bound=PartialChanges)


def without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """The object without the keys whose value is null; what is inside its values stays as it is."""
    return {key: each for key, each in value.items() if each is not None}


class CreateBody(JsonBody[New]):
    """A POST's object: `body: Annotated[M, Depends(CreateBody(M))]`. Null means absent; unknown keys are let be;
    an empty body is `{}`."""

    async def __call__(self, request: Request) -> New:
        """The validated body. Raises TooLarge and InvalidInput."""
        return validate(self.model, without_nulls(await read_json_object(request, when_empty=b"{}")))


class PatchBody(JsonBody[Patch]):
    """A PATCH's object: `body: Annotated[M, Depends(PatchBody(M))]`. `{}` is legal and changes nothing."""

    async def __call__(self, request: Request) -> Patch:
        """The validated body. Raises TooLarge and InvalidInput."""
        value = await read_json_object(request, when_empty=b"{}")
        if value.get("restore") is True and issubclass(self.model, Changes):
            value = {"restore": True}
        kept = {key: each for key, each in value.items() if each is not None or key in self.model.clearable}
        return validate(self.model, kept)


class CreateBatch(JsonArray[New]):
    """A POST's bare array: `body: Annotated[list[M], Depends(CreateBatch(M))]`; each item is as in CreateBody."""

    def __init__(self, model: type[New]) -> None:
        super().__init__(model, most=MOST_ITEMS)

    def prepared(self, item: Any) -> Any:
        """The item without nulls."""
        return without_nulls(item) if isinstance(item, dict) else item
