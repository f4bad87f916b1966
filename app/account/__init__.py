"""Accounts: log-in and all around it, one's own profile, tokens for programs."""
