"""posts"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "post",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(body) BETWEEN 1 AND 500", name=op.f("ck_post_body_length")),
    )
    op.create_index(op.f("ix_post_created_at"), "post", ["created_at"])


def downgrade():
    op.drop_table("post")
