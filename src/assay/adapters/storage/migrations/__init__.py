"""The schema's history, one file a revision; run by Alembic, see `schema.upgrade`."""
