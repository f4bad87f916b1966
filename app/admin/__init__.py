"""The pages of those who keep order."""

import app.admin.models  # noqa: F401  (Alembic must know the table)
