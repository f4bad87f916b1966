"""./stack doctor: facts are gathered once (facts.py), then checked (checks.py)."""
