"""${message}"""

# The previous release works on this schema until the rollout is done, and after a rollback: only add, and give required
# columns a server_default. Otherwise state the reason:
# breaking = "drops post.title, which release 12 still reads"
# Build indexes on large tables with op.get_context().autocommit_block() and postgresql_concurrently=True.

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
