"""Storage on SQLite and PostgreSQL, the only home of SQLAlchemy."""

from assay.adapters.storage.schema import SchemaState, schema_state, upgrade
from assay.adapters.storage.storage import SqlStorage, open_storage

__all__ = ["SchemaState", "SqlStorage", "open_storage", "schema_state", "upgrade"]
