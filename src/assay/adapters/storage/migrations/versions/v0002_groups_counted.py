"""Groups are counted by account, and a dataset item's last version says when it was removed."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, text

from assay.adapters.storage.tables import Moment, Words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNT = (
    "INSERT INTO group_counts (account_id, present, deleted)"
    " SELECT account_id, SUM(CASE WHEN deleted_at IS NULL THEN 1 ELSE 0 END), COUNT(deleted_at)"
    " FROM groups GROUP BY account_id"
)


def upgrade() -> None:
    """Add the counters with what there is to count, the removal time, and the indexes of lists of groups.

    Items that were removed before have no such time: nobody wrote it down.
    """
    op.add_column("dataset_item_versions", Column("removed_at", Moment))
    op.create_table(
        "group_counts",
        Column("account_id", Words, ForeignKey("accounts.id"), primary_key=True),
        Column("present", BigInteger, nullable=False),
        Column("deleted", BigInteger, nullable=False),
    )
    op.execute(COUNT)
    op.drop_index("ix_groups_by_creation", "groups")
    kept = text("deleted_at IS NULL")
    keys = ["account_id", "created_at", "seq"]
    op.create_index("ix_groups_by_creation", "groups", keys, sqlite_where=kept, postgresql_where=kept)
    op.create_index("ix_groups_with_deleted_by_creation", "groups", keys)
    op.create_index("ix_groups_by_name", "groups", ["account_id", "name", "seq"])


def downgrade() -> None:
    """There is no way back: restore a copy."""
    raise NotImplementedError
