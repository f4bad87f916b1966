"""accounts

Posts that are already there get an author: an account that nobody can log in to. Going down keeps all posts, which
makes hidden ones public again, and forgets who wrote them.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Alembic does not find CHECK constraints when it copies a table for SQLite.
POST_CHECKS = (sa.CheckConstraint("length(body) BETWEEN 1 AND 500", name=op.f("ck_post_body_length")),)


def upgrade():
    create_accounts()
    create_what_belongs_to_accounts()
    with op.batch_alter_table("post", table_args=POST_CHECKS) as post:
        post.drop_index(op.f("ix_post_created_at"))  # posts are ordered by id now
        post.add_column(sa.Column("author_id", sa.Integer()))
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


def integer(name, **options):
    return sa.Column(name, sa.Integer(), **{"nullable": False} | options)


def string(name, length, **options):
    return sa.Column(name, sa.String(length), **{"nullable": False} | options)


def reference(name, table="account", ondelete="CASCADE", **options):
    return sa.Column(name, sa.Integer(), sa.ForeignKey(f"{table}.id", ondelete=ondelete), nullable=False, **options)


def create_accounts():
    op.create_table(
        "account",
        integer("id", primary_key=True),
        string("email", 255, unique=True),
        string("username", 30, unique=True),
        string("password", 255, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        string("fs_uniquifier", 64, unique=True),
        moment("created_at", nullable=False),
        moment("confirmed_at"),
        integer("failed_logins"),
        moment("locked_until"),
        integer("login_count", nullable=True),
        moment("last_login_at"),
        string("last_login_ip", 64, nullable=True),
        moment("current_login_at"),
        string("current_login_ip", 64, nullable=True),
        sa.CheckConstraint("length(username) BETWEEN 3 AND 30", name="username_length"),
        sa.CheckConstraint("username = lower(username)", name="username_lower"),
        sa.CheckConstraint("email = lower(email)", name="email_lower"),
    )


def create_what_belongs_to_accounts():
    identity = integer("id", primary_key=True)
    op.create_table("role", identity, string("name", 80, unique=True), string("description", 255, nullable=True))
    role, user = reference("role_id", "role", primary_key=True), reference("user_id", primary_key=True)
    op.create_table("roles_users", user, role)
    created = moment("created_at", nullable=False)
    user, digest = reference("user_id", index=True), string("digest", 64, unique=True)
    op.create_table("api_token", identity, user, string("name", 80), digest, created, moment("last_used_at"))
    follower = reference("follower_id", primary_key=True)
    followed = reference("followed_id", primary_key=True, index=True)
    op.create_table("follow", follower, followed, sa.CheckConstraint("follower_id <> followed_id", name="not_oneself"))
    admin, note = reference("admin_id", ondelete=None), sa.Column("note", sa.Text())
    op.create_table("admin_action", identity, admin, string("action", 40), string("target", 80), created, note)


def give_posts_an_author():
    connection = op.get_bind()
    if not connection.scalar(sa.text("SELECT count(*) FROM post")):
        return
    columns = "email, username, active, fs_uniquifier, created_at, failed_logins"
    values = "'anonymous@localhost', 'anonymous', false, :unique, CURRENT_TIMESTAMP, 0"
    connection.execute(sa.text(f"INSERT INTO account ({columns}) VALUES ({values})"), {"unique": uuid.uuid4().hex})
    connection.execute(sa.text("UPDATE post SET author_id = (SELECT id FROM account)"))
