"""Running an application variant once, outside of any evaluation."""

from assay.core.application_calls import ApplicationCall
from assay.core.applications import ApplicationVariant
from assay.core.identity import Caller
from assay.ports.applications import Applications
from assay.ports.storage import Storage
from assay.registry.application_calls import ApplicationRun, run_application
from assay.services.applications import endpoint_of
from assay.services.catalogue import find, unarchived


class ApplicationRuns:
    """Runs variants as tasks do, and stores nothing."""

    def __init__(self, storage: Storage, applications: Applications) -> None:
        self._storage = storage
        self._applications = applications

    async def run(self, caller: Caller, variant_id: str, call: ApplicationCall) -> ApplicationRun:
        """One call of a variant's endpoint; an error of the application is in the run.

        Raises NotFound, and RuleViolation for a variant that is archived or cannot be called.
        """
        async with self._storage.read() as work:
            variant = unarchived(await find(work.application_variants, ApplicationVariant, caller, variant_id))
        return await run_application(self._applications, endpoint_of(variant, "http"), call)
