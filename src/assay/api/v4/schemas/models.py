"""Model templates, models and deployments on the v4 wire: records of what clients say, of which nothing is run."""

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import PartialChanges
from assay.api.v4.schemas.entities import Entity, Text

ModelType = Literal["COMPLETION", "CHAT_COMPLETION", "AGENT", "EMBEDDING", "RERANKING", "GENERIC", "BUNDLE"]
EndpointType = Literal["SYNC", "ASYNC", "STREAMING", "BATCH"]
EndpointProtocol = Literal["SGP", "COHERE", "VLLM"]
Vendor = Literal[
    "OPENAI",
    "COHERE",
    "GOOGLE",
    "VERTEX_AI",
    "ANTHROPIC",
    "LAUNCH",
    "LLMENGINE",
    "BEDROCK",
    "FIREWORKS_AI",
    "OTHER",
]


class _Kept(BodyModel):
    """A part of a body that is kept whole, with keys that only its sender knows."""

    model_config = ConfigDict(strict=True, extra="allow")


class BundleConfig(_Kept):
    """Where a template's image is."""

    image: str
    registry: str
    tag: str


class VendorConfiguration(_Kept):
    """How a template would be launched."""

    bundle_config: BundleConfig
    vendor: Literal["LAUNCH"] | None = None
    endpoint_config: dict[str, Any] | None = None
    fine_tuning_job_bundle_config: BundleConfig | None = None


class ParameterField(_Kept):
    """A parameter that a template's models take."""

    name: str
    description: str
    required: bool
    type: Literal["str", "int", "float", "bool"]


class ParameterSchema(_Kept):
    """The parameters that a template's models take."""

    parameters: list[ParameterField]


class CreateModelTemplate(BodyModel):
    """A template to write down."""

    account_id: str | None = None
    name: Text
    endpoint_type: EndpointType
    model_type: ModelType
    vendor_configuration: VendorConfiguration
    endpoint_protocol: EndpointProtocol | None = None
    model_creation_parameters_schema: ParameterSchema | None = None
    model_request_parameters_schema: ParameterSchema | None = None


class ModelTemplate(Entity):
    """A template, as it was written down."""

    name: str
    endpoint_type: str
    model_type: str
    vendor_configuration: dict[str, Any]
    endpoint_protocol: str | None
    model_creation_parameters_schema: dict[str, Any] | None
    model_request_parameters_schema: dict[str, Any] | None


class CreateModelInstance(BodyModel):
    """A model to write down."""

    account_id: str | None = None
    name: Text
    model_type: ModelType
    base_model_id: str | None = None
    base_model_metadata: dict[str, Any] | None = None
    description: str | None = None
    display_name: str | None = None
    model_card: str | None = None
    model_creation_parameters: dict[str, Any] | None = None
    model_group_id: str | None = None
    model_template_id: str | None = None
    model_vendor: Vendor | None = None
    training_data_card: str | None = None


class UpdateModelInstance(PartialChanges):
    """Changes to a model; null clears all but its name and type."""

    clearable: ClassVar[frozenset[str]] = frozenset(CreateModelInstance.model_fields) - {
        "account_id",
        "name",
        "model_type",
    }

    name: Text | None = None
    model_type: ModelType | None = None
    base_model_id: str | None = None
    base_model_metadata: dict[str, Any] | None = None
    description: str | None = None
    display_name: str | None = None
    model_card: str | None = None
    model_creation_parameters: dict[str, Any] | None = None
    model_group_id: str | None = None
    model_template_id: str | None = None
    model_vendor: Vendor | None = None
    training_data_card: str | None = None


class CreateDeployment(BodyModel):
    """A deployment to write down. `wait_for_ready` says nothing: nothing is deployed."""

    account_id: str | None = None
    name: Text
    deployment_metadata: dict[str, Any] | None = None
    model_creation_parameters: dict[str, Any] | None = None
    vendor_configuration: dict[str, Any] | None = None
    wait_for_ready: bool | None = None


class UpdateDeployment(PartialChanges):
    """Changes to a deployment; null clears all but its name."""

    clearable: ClassVar[frozenset[str]] = frozenset(
        {"deployment_metadata", "model_creation_parameters", "vendor_configuration"}
    )

    name: Text | None = None
    deployment_metadata: dict[str, Any] | None = None
    model_creation_parameters: dict[str, Any] | None = None
    vendor_configuration: dict[str, Any] | None = None
    wait_for_ready: bool | None = None


class ModelDeployment(Entity):
    """A deployment, as it was written down."""

    name: str
    status: str = Field(description="NOT_DEPLOYED: Assay hosts no models.")
    model_instance_id: str
    model_endpoint_id: str | None
    deployment_metadata: dict[str, Any] | None
    model_creation_parameters: dict[str, Any] | None
    vendor_configuration: dict[str, Any] | None


class ModelInstance(Entity):
    """A model, as it was written down. The last two are filled when `view` asks for them."""

    name: str
    model_type: str
    deployment_count: int
    request_schema: dict[str, Any]
    response_schema: dict[str, Any]
    supports_multi_turn: bool
    base_model_id: str | None
    base_model_metadata: dict[str, Any] | None
    description: str | None
    display_name: str | None
    model_card: str | None
    model_creation_parameters: dict[str, Any] | None
    model_group_id: str | None
    model_template_id: str | None
    model_vendor: str | None
    training_data_card: str | None
    deployments: list[ModelDeployment] | None = None
    model_group: None = None
