"""What Alembic runs to migrate: in the transaction of the connection that it is handed."""

from alembic import context

from assay.adapters.storage.schema import VERSION_TABLE
from assay.adapters.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
