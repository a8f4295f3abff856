"""One transaction and the repositories that act in it."""

from assay.adapters.storage.accounts import SqlAccounts, SqlApiKeys
from assay.adapters.storage.annotation_tasks import SqlAnnotationTasks
from assay.adapters.storage.application_evaluations import SqlApplicationEvaluations
from assay.adapters.storage.application_outputs import SqlApplicationOutputs
from assay.adapters.storage.applications import SqlApplicationSpecs, SqlApplicationVariants, SqlEvaluationConfigs
from assay.adapters.storage.dataset_items import SqlDatasetItems
from assay.adapters.storage.datasets import SqlDatasets
from assay.adapters.storage.evaluations import SqlEvaluations
from assay.adapters.storage.files import SqlFiles
from assay.adapters.storage.generation import SqlDrafts, SqlGenerationJobs
from assay.adapters.storage.groups import SqlGroups
from assay.adapters.storage.items import SqlItems
from assay.adapters.storage.model_calls import SqlModelCalls
from assay.adapters.storage.questions import SqlQuestions, SqlQuestionSets
from assay.adapters.storage.records import (
    SqlModelDeployments,
    SqlModelInstances,
    SqlModelTemplates,
    SqlStudioProjects,
    SqlVariantReports,
)
from assay.adapters.storage.registered_models import SqlRegisteredModels
from assay.adapters.storage.results import SqlResults
from assay.adapters.storage.rubrics import SqlRubrics
from assay.adapters.storage.session import Session
from assay.adapters.storage.spans import SqlSpanAssessments, SqlSpans
from assay.adapters.storage.test_case_results import SqlTestCaseResults
from assay.adapters.storage.test_cases import SqlDatasetVersions, SqlTestCases
from assay.core.applications import ApplicationSpec
from assay.core.evaluation_configs import EvaluationConfig
from assay.core.model_records import ModelTemplate
from assay.core.questions import QuestionSet
from assay.core.studio_projects import StudioProject
from assay.ports.annotation import AnnotationTaskRepository
from assay.ports.application_storage import (
    ApplicationEvaluationRepository,
    ApplicationOutputRepository,
    DatasetVersionRepository,
    TestCaseRepository,
    TestCaseResultRepository,
    VariantCatalogue,
)
from assay.ports.catalogue import Catalogue, QuestionCatalogue
from assay.ports.files import FileRepository
from assay.ports.generation import DraftCatalogue, GenerationJobCatalogue
from assay.ports.model_calls import ModelCallRepository
from assay.ports.records import DeploymentCatalogue, InstanceCatalogue, ReportCatalogue
from assay.ports.registered_models import RegisteredModelRepository
from assay.ports.rubrics import RubricRepository
from assay.ports.spans import SpanAssessmentRepository, SpanRepository
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
        self.annotation_tasks: AnnotationTaskRepository = SqlAnnotationTasks(session)
        self.api_keys: ApiKeyRepository = SqlApiKeys(session)
        self.datasets: DatasetRepository = SqlDatasets(session)
        self.dataset_items: DatasetItemRepository = SqlDatasetItems(session)
        self.evaluations: EvaluationRepository = SqlEvaluations(session)
        self.items: ItemRepository = SqlItems(session)
        self.results: ResultRepository = SqlResults(session)
        self.groups: GroupRepository = SqlGroups(session)
        self.model_calls: ModelCallRepository = SqlModelCalls(session)
        self.application_specs: Catalogue[ApplicationSpec] = SqlApplicationSpecs(session)
        self.application_variants: VariantCatalogue = SqlApplicationVariants(session)
        self.questions: QuestionCatalogue = SqlQuestions(session)
        self.question_sets: Catalogue[QuestionSet] = SqlQuestionSets(session)
        self.rubrics: RubricRepository = SqlRubrics(session)
        self.evaluation_configs: Catalogue[EvaluationConfig] = SqlEvaluationConfigs(session)
        self.registered_models: RegisteredModelRepository = SqlRegisteredModels(session)
        self.application_evaluations: ApplicationEvaluationRepository = SqlApplicationEvaluations(session)
        self.application_outputs: ApplicationOutputRepository = SqlApplicationOutputs(session)
        self.dataset_versions: DatasetVersionRepository = SqlDatasetVersions(session)
        self.test_cases: TestCaseRepository = SqlTestCases(session)
        self.test_case_results: TestCaseResultRepository = SqlTestCaseResults(session)
        self.files: FileRepository = SqlFiles(session)
        self.spans: SpanRepository = SqlSpans(session)
        self.span_assessments: SpanAssessmentRepository = SqlSpanAssessments(session)
        self.studio_projects: Catalogue[StudioProject] = SqlStudioProjects(session)
        self.model_templates: Catalogue[ModelTemplate] = SqlModelTemplates(session)
        self.model_instances: InstanceCatalogue = SqlModelInstances(session)
        self.model_deployments: DeploymentCatalogue = SqlModelDeployments(session)
        self.variant_reports: ReportCatalogue = SqlVariantReports(session)
        self.generation_jobs: GenerationJobCatalogue = SqlGenerationJobs(session)
        self.draft_test_cases: DraftCatalogue = SqlDrafts(session)
