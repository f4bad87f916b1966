"""accounts

Posts that are already there get an author: an account that nobody can log in to. Going down keeps all posts, which
makes hidden ones public again, and forgets who wrote them.
"""

import uuid
from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Alembic does not find CHECK constraints when it copies a table for SQLite.
POST_CHECKS = (sa.CheckConstraint("length(body) BETWEEN 1 AND 500", name=op.f("ck_post_body_length")),)


def upgrade():
    create_accounts()
    create_tokens()
    create_follows()
    create_actions()
    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.drop_index(op.f("ix_post_created_at"))  # posts are ordered by id now
        post.add_column(sa.Column("author_id", sa.Integer(), nullable=True))
        post.add_column(moment("updated_at"))
        post.add_column(moment("hidden_at"))
    give_posts_an_author()
    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.alter_column("author_id", nullable=False, existing_type=sa.Integer())
        post.create_foreign_key(op.f("fk_post_author_id"), "account", ["author_id"], ["id"])
        post.create_index(op.f("ix_post_author_id_id"), ["author_id", "id"])


def downgrade():
    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.drop_index(op.f("ix_post_author_id_id"))
        post.drop_constraint(op.f("fk_post_author_id"), type_="foreignkey")
        for name in ("author_id", "updated_at", "hidden_at"):
            post.drop_column(name)
        post.create_index(op.f("ix_post_created_at"), ["created_at"])
    for table in ("admin_action", "follow", "api_token", "roles_users", "role", "account"):
        op.drop_table(table)


def moment(name, nullable=True):
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def account_id(table, name, nullable=False, **options):
    reference = sa.ForeignKey("account.id", name=op.f(f"fk_{table}_{name}"), **options)
    return sa.Column(name, sa.Integer(), reference, nullable=nullable)


def create_accounts():
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("username", sa.String(30), nullable=False),
        sa.Column("password", sa.String(255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(64), nullable=False),
        moment("created_at", nullable=False),
        moment("confirmed_at"),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        moment("locked_until"),
        sa.Column("login_count", sa.Integer(), nullable=True),
        moment("last_login_at"),
        sa.Column("last_login_ip", sa.String(64), nullable=True),
        moment("current_login_at"),
        sa.Column("current_login_ip", sa.String(64), nullable=True),
        sa.CheckConstraint("length(username) BETWEEN 3 AND 30", name=op.f("ck_account_username_length")),
        sa.CheckConstraint("username = lower(username)", name=op.f("ck_account_username_lower")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_account_email_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
        sa.UniqueConstraint("username", name=op.f("uq_account_username")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_account_fs_uniquifier")),
    )
    op.create_table(
        "role",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("description", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("name", name=op.f("uq_role_name")),
    )
    role = sa.ForeignKey("role.id", name=op.f("fk_roles_users_role_id"), ondelete="CASCADE")
    op.create_table(
        "roles_users",
        account_id("roles_users", "user_id", ondelete="CASCADE"),
        sa.Column("role_id", sa.Integer(), role, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "role_id", name=op.f("pk_roles_users")),
    )


def create_tokens():
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), nullable=False),
        account_id("api_token", "user_id", ondelete="CASCADE"),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        moment("created_at", nullable=False),
        moment("last_used_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_token_digest")),
    )
    op.create_index(op.f("ix_api_token_user_id"), "api_token", ["user_id"])


def create_follows():
    op.create_table(
        "follow",
        account_id("follow", "follower_id", ondelete="CASCADE"),
        account_id("follow", "followed_id", ondelete="CASCADE"),
        sa.CheckConstraint("follower_id <> followed_id", name=op.f("ck_follow_not_oneself")),
        sa.PrimaryKeyConstraint("follower_id", "followed_id", name=op.f("pk_follow")),
    )
    op.create_index(op.f("ix_follow_followed_id"), "follow", ["followed_id"])


def create_actions():
    op.create_table(
        "admin_action",
        sa.Column("id", sa.Integer(), nullable=False),
        account_id("admin_action", "admin_id"),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        moment("created_at", nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_action")),
    )


def give_posts_an_author():
    connection = op.get_bind()
    if not connection.scalar(sa.text("SELECT count(*) FROM post")):
        return
    account = {
        "email": "anonymous@localhost",
        "username": "anonymous",
        "active": False,
        "fs_uniquifier": uuid.uuid4().hex,
        "created_at": datetime.now(timezone.utc),
        "failed_logins": 0,
    }
    types = {"created_at": sa.DateTime(timezone=True)}  # else sqlite3 would have to guess
    table = sa.table("account", *(sa.column(name, types.get(name)) for name in account))
    connection.execute(table.insert().values(account))
    connection.execute(sa.text("UPDATE post SET author_id = (SELECT id FROM account WHERE username = 'anonymous')"))
