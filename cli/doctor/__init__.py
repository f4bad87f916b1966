"""What `./stack doctor` looks at, and what it finds: facts gathered once (facts), then judged (checks)."""
