"""sessions, security events, and scope and end of API tokens

Existing tokens keep their permissions and expire a year after the upgrade. The previous release ignores the new tables
and columns. Sessions of the previous release end: their users log in again.
"""

from datetime import datetime, timedelta, timezone

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade():
    op.create_table(
        "login_session",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("user_agent", sa.String(200), nullable=True),
    )
    op.create_table(
        "security_event",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=True),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("detail", sa.String(200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_index(op.f("ix_security_event_user_id_id"), "security_event", ["user_id", "id"])
    op.add_column("api_token", sa.Column("scope", sa.String(10), nullable=False, server_default="write"))
    op.add_column("api_token", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    token = sa.table("api_token", sa.column("expires_at", sa.DateTime(timezone=True)))
    op.execute(token.update().values(expires_at=datetime.now(timezone.utc) + timedelta(days=365)))


def downgrade():
    with op.batch_alter_table("api_token") as api_token:
        api_token.drop_column("expires_at")
        api_token.drop_column("scope")
    op.drop_table("security_event")
    op.drop_table("login_session")
