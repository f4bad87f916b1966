"""What `./stack doctor` looks at, and what it finds: facts gathered once (patient), then judged (checks)."""
