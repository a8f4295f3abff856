"""The tables of files. Equal content is stored once in an account, as a blob in pieces; files are names for it."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table

from assay.adapters.storage.tables import SEQUENCE, Document, Moment, Words, metadata

blobs = Table(
    "blobs",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("sha256", Words, nullable=False),
    Column("mime_type", Words, nullable=False),
    Index("uq_blobs_content", "account_id", "sha256", "mime_type", unique=True),
)

blob_pieces = Table(
    "blob_pieces",
    metadata,
    Column("blob_seq", SEQUENCE, ForeignKey("blobs.seq"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("blob_seq", "number"),
)

files = Table(
    "files",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Words, nullable=False, unique=True),
    Column("account_id", Words, ForeignKey("accounts.id"), nullable=False),
    Column("blob_seq", SEQUENCE, ForeignKey("blobs.seq"), nullable=False),
    Column("filename", Words, nullable=False),
    Column("filename_folded", Words, nullable=False),
    Column("mime_type", Words, nullable=False),
    Column("size", Integer, nullable=False),
    Column("md5", Words, nullable=False),
    Column("tags", Document),
    Column("created_at", Moment, nullable=False),
    Column("created_by_id", Words, nullable=False),
    Column("created_by_type", Words, nullable=False),
    Index("ix_files_by_creation", "account_id", "created_at", "seq"),
    Index("ix_files_of_blob", "blob_seq"),
)
