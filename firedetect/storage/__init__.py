"""What outlives the process: the data folder, the state of the alarm, the outbox (SQLite)."""
