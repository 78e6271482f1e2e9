"""What to do next for one execution: its steps, their attempts, its verdict."""
