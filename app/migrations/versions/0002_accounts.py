"""accounts

Upgrade: existing posts get an author, an account that cannot log in.
Downgrade: all posts are kept, but their authors are lost and hidden posts become public.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
breaking = "requires an author of each post, which the release before the accounts does not store"

# Alembic does not reflect CHECK constraints when it copies a table on SQLite.
POST_CHECKS = [sa.CheckConstraint("length(body) BETWEEN 1 AND 500", name=op.f("ck_post_body_length"))]


def upgrade():
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("email", sa.String(255), nullable=False, unique=True),
        sa.Column("username", sa.String(30), nullable=False, unique=True),
        sa.Column("password", sa.String(255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("login_count", sa.Integer(), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_ip", sa.String(64), nullable=True),
        sa.Column("current_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_login_ip", sa.String(64), nullable=True),
        sa.CheckConstraint("length(username) BETWEEN 3 AND 30", name="username_length"),
        sa.CheckConstraint("username = lower(username)", name="username_lower"),
        sa.CheckConstraint("email = lower(email)", name="email_lower"),
    )
    op.create_table(
        "role",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("description", sa.String(255), nullable=True),
    )
    op.create_table(
        "roles_users",
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("role_id", sa.Integer(), sa.ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_table(
        "follow",
        sa.Column("follower_id", sa.Integer(), sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
        sa.Column(
            "followed_id", sa.Integer(), sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, index=True
        ),
        sa.CheckConstraint("follower_id <> followed_id", name="not_oneself"),
    )
    op.create_table(
        "admin_action",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("admin_id", sa.Integer(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
    )

    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.drop_index(op.f("ix_post_created_at"))  # from now on, posts are ordered by id
        post.add_column(sa.Column("author_id", sa.Integer()))
        post.add_column(sa.Column("updated_at", sa.DateTime(timezone=True)))
        post.add_column(sa.Column("hidden_at", sa.DateTime(timezone=True)))
    add_author_to_existing_posts()
    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.alter_column("author_id", nullable=False, existing_type=sa.Integer())
        post.create_foreign_key(op.f("fk_post_author_id"), "account", ["author_id"], ["id"])
        post.create_index(op.f("ix_post_author_id_id"), ["author_id", "id"])


def downgrade():
    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.drop_index(op.f("ix_post_author_id_id"))
        post.drop_constraint(op.f("fk_post_author_id"), type_="foreignkey")
        post.drop_column("author_id")
        post.drop_column("updated_at")
        post.drop_column("hidden_at")
        post.create_index(op.f("ix_post_created_at"), ["created_at"])
    op.drop_table("admin_action")
    op.drop_table("follow")
    op.drop_table("api_token")
    op.drop_table("roles_users")
    op.drop_table("role")
    op.drop_table("account")


def add_author_to_existing_posts():
    connection = op.get_bind()
    if not connection.scalar(sa.text("SELECT count(*) FROM post")):
        return
    connection.execute(
        sa.text(
            "INSERT INTO account (email, username, active, fs_uniquifier, created_at, failed_logins)"
            " VALUES ('anonymous@localhost', 'anonymous', false, :fs_uniquifier, CURRENT_TIMESTAMP, 0)"
        ),
        {"fs_uniquifier": uuid.uuid4().hex},
    )
    connection.execute(sa.text("UPDATE post SET author_id = (SELECT id FROM account)"))
